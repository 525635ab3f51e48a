"""Painting of solids as shaded convex polygons with haze, far to near, and of their shadows."""

import cv2
import numpy as np

from bev.lab.synthetic.rendering.weather import Weather
from bev.lab.synthetic.visibility.items import Items
from bev.lab.synthetic.visibility.view import NEAR, View, clip_near

_SHIFT = 4


def _fixed(pixels: np.ndarray) -> np.ndarray:
    """Convert pixels to fixed-point coordinates of OpenCV, whose pixel centres are integers."""
    return np.rint((pixels - 0.5) * (1 << _SHIFT)).astype(np.int32)


def paint_items(image: np.ndarray, view: View, weather: Weather) -> None:
    """Paint all items of the view onto an image (H, W, 3) uint8, in place."""
    order = view.order
    if len(order) == 0:
        return
    rotation, translation = view.camera_from_item
    shapes = [view.items.shapes[i] for i in order]
    vertices = np.concatenate(
        [s.vertices @ rotation[i].T + translation[i] for i, s in enumerate(shapes)]
    )
    pixels = _fixed(view.to_pixels(vertices))
    starts, counts, corners, rows = _visible_polygons(view, shapes)
    colours = _colours(view, shapes, weather)[rows].tolist()
    lengths = counts * corners
    depth = _reduce_rows(np.minimum, vertices[:, 2], starts, lengths)
    cut = depth < NEAR
    low = _reduce_rows(np.minimum, pixels, starts, lengths) >> _SHIFT
    high = _reduce_rows(np.maximum, pixels, starts, lengths) >> _SHIFT
    height, width = image.shape[:2]
    drawn = cut | ((low < (width, height)).all(1) & (high >= 0).all(1))
    small = ((high - low).max(1) < 1) & (counts >= 1) & ~cut
    drawn &= ~small
    for i in np.flatnonzero(drawn):
        start, n, k, colour = starts[i], counts[i], corners[i], colours[i]
        if cut[i]:
            for row in range(start, start + n * k, k):
                clipped = clip_near(vertices[row : row + k])
                if len(clipped) >= 3:
                    points = _fixed(view.to_pixels(clipped))
                    cv2.fillConvexPoly(image, points, colour, cv2.LINE_AA, _SHIFT)
        elif n == 1:
            cv2.fillConvexPoly(image, pixels[start : start + k], colour, cv2.LINE_AA, _SHIFT)
        else:
            quads = pixels[start : start + n * k].reshape(n, k, 2)
            cv2.fillPoly(image, list(quads), colour, cv2.LINE_AA, _SHIFT)


def _reduce_rows(op: np.ufunc, values: np.ndarray, starts, lengths) -> np.ndarray:
    """Reduction of values[start : start + length] for each polygon."""
    ends = np.minimum(starts + lengths, len(values) - 1)
    pairs = np.stack([starts, ends], axis=1).ravel()
    return op.reduceat(values, pairs, axis=0)[::2]


def _visible_polygons(view: View, shapes: list):
    """Polygon groups that face the camera, in paint order.

    Returns:
        Arrays of each group's first vertex, number of polygons and corners per polygon, and of its
        row among all polygon groups of the shapes.
    """
    ranks, camera = view.ranks, view.camera_in_item
    starts, facing, solid_rank, owners = [], [], [], []
    offset = 0
    for i, shape in enumerate(shapes):
        table = shape.polygon_table
        faces = shape.planes[:, :3] @ camera[i] + shape.planes[:, 3] > 0
        starts.append(table[:, 0] + offset)
        facing.append(faces[table[:, 3]])
        solid_rank.append(ranks[i, table[:, 4]])
        owners.append(np.full(len(table), i))
        offset += len(shape.vertices)
    table = np.concatenate([shape.polygon_table for shape in shapes])
    owner = np.concatenate(owners)
    order = np.lexsort((np.arange(len(owner)), np.concatenate(solid_rank), owner))
    rows = order[np.concatenate(facing)[order]]
    return np.concatenate(starts)[rows], table[rows, 1], table[rows, 2], rows


def _colours(view: View, shapes: list, weather: Weather) -> np.ndarray:
    """(polygons, 3) colours with sun light, sky light, light from the ground, and haze."""
    index = view.order
    turn = view.items.rotation[index]
    colours = np.concatenate([s.colours for s in shapes])
    normals = np.concatenate(
        [(s.planes[:, :3] @ turn[i].T)[s.polygon_table[:, 3]] for i, s in enumerate(shapes)]
    )
    sun = np.maximum(normals @ weather.sun, 0.0)
    light = weather.ambient * (0.85 + 0.15 * normals[:, 2]) + weather.direct * sun
    glow = colours[:, 3]
    light = light * (1.0 - glow) + 1.05 * glow
    centre = view.to_camera(view.items.centre[index])
    haze = 1.0 - np.exp(-np.linalg.norm(centre, axis=1) / weather.haze)
    haze = np.repeat(haze, [len(s.polygon_table) for s in shapes])[:, None]
    lit = np.minimum(colours[:, :3] * light[:, None], 250.0)
    return lit * (1.0 - haze) + weather.sky_low * haze


def shadow_polygons(items: Items, weather: Weather) -> tuple[list, list]:
    """Cast shadows and contact shadows on the ground, each a list of (k, 2) global polygons."""
    slope = weather.sun[:2] / max(0.25, weather.sun[2])
    cast, contact = [], []
    rotation = items.rotation
    for i, shape in enumerate(items.shapes):
        tall = shape.size[2]
        if tall < 6.0 and weather.direct > 0.2:
            points = shape.points @ rotation[i].T + items.position[i]
            ground = points[:, :2] - points[:, 2:] * slope
            cast.append(cv2.convexHull(ground.astype(np.float32)).reshape(-1, 2).astype(float))
        if items.position[i, 2] < 0.5:
            half = 0.5 * np.array(shape.size[:2]) * 0.97 + 0.02
            corners = half * [(1, 1), (-1, 1), (-1, -1), (1, -1)]
            contact.append(corners @ rotation[i, :2, :2].T + items.position[i, :2])
    return cast, contact


def paint_shadows(image: np.ndarray, view: View, shadows, weather: Weather, top: int) -> None:
    """Darken the ground by soft shadows in the image rows from ``top`` on, in place."""
    height, width = image.shape[:2]
    mask = np.zeros((height // 2, width // 2), np.uint8)
    cast, contact = shadows
    sunny = int(170 * weather.direct / (weather.direct + weather.ambient) + 20)
    for polygons, depth in ((cast, sunny), (contact, 135)):
        for polygon in polygons:
            flat = np.column_stack([polygon, np.zeros(len(polygon))])
            points = view.to_camera(flat)
            if points[:, 2].max() < NEAR or points[:, 2].min() > 90.0:
                continue
            if points[:, 2].min() < NEAR:
                points = clip_near(points)
            fixed = _fixed(view.to_pixels(points) / 2.0)
            cv2.fillConvexPoly(mask, fixed, (depth,), cv2.LINE_8, _SHIFT)
    cv2.blur(mask, (5, 5), mask)
    lower = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)[top:]
    light = cv2.merge([cv2.bitwise_not(lower)] * 3)
    cv2.multiply(image[top:], light, image[top:], scale=1.0 / 255.0)

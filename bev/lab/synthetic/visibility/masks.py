"""Item masks of a view, and the visible share of each actor."""

import cv2
import numpy as np

from bev.lab.synthetic.objects.shape import Shape
from bev.lab.synthetic.visibility.view import NEAR, View, clip_near

MASK_SCALE = 2
"""Image pixels per mask pixel."""

_SHIFT = 4


def _silhouette(
    view: View, points: np.ndarray, shape: Shape, solid: int, camera
) -> list[np.ndarray]:
    """Silhouette of a solid as convex polygons in mask pixels (usually one)."""
    if points[:, 2].min() >= NEAR:
        groups = [points]
    elif points[:, 2].max() < NEAR:
        return []
    else:
        rows = slice(shape.solid_planes[solid], shape.solid_planes[solid + 1])
        rotation, translation = camera
        faces = [p for p in shape.polygons if p.polygons == 1 and rows.start <= p.face < rows.stop]
        groups = [
            clip_near(shape.vertices[p.start : p.start + p.corners] @ rotation.T + translation)
            for p in faces
        ]
    hulls = []
    for group in groups:
        if len(group) >= 3:
            pixels = view.to_pixels(group) / MASK_SCALE
            hulls.append(cv2.convexHull(pixels.astype(np.float32)).reshape(-1, 2))
    return hulls


def _fill(canvas: np.ndarray, hull: np.ndarray, value: int, corner=(0.0, 0.0)) -> None:
    """Fill a hull given in continuous pixels; pixel centres of OpenCV are integers."""
    fixed = np.rint((hull - corner - 0.5) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, fixed, (value,), cv2.LINE_8, _SHIFT)


def item_mask(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Paint the item indices of a view, far to near.

    Returns:
        The mask, (height / 2, width / 2) int32 item indices with -1 for none, and (N,) weighted
        numbers of mask pixels that each actor would cover if nothing occluded it; 0 for props and
        for actors out of view.

    Raises:
        ValueError: if the view contains more than 254 items.
    """
    width, height = view.size[0] // MASK_SCALE, view.size[1] // MASK_SCALE
    mask = np.zeros((height, width), np.uint8)
    alone = np.zeros(len(view.items.shapes), int)
    if len(view.order) == 0:
        return np.full(mask.shape, -1, np.int32), alone
    if len(view.order) > 254:
        raise ValueError(f"A view contains {len(view.order)} items; a mask supports at most 254.")
    rotation, translation = view.camera_from_item
    for rank, item in enumerate(view.order):
        shape = view.items.shapes[item]
        points = shape.points @ rotation[rank].T + translation[rank]
        hulls = []
        for solid in range(len(shape.solid_points) - 1):
            part = points[shape.solid_points[solid] : shape.solid_points[solid + 1]]
            hulls += _silhouette(view, part, shape, solid, (rotation[rank], translation[rank]))
        for hull in hulls:
            _fill(mask, hull, rank + 1)
        if item < view.items.actors and hulls:
            rows = np.concatenate(hulls)
            low = np.clip(np.floor(rows.min(0)).astype(int) - 1, 0, (width, height))
            high = np.clip(np.ceil(rows.max(0)).astype(int) + 2, 0, (width, height))
            if (high > low).all():
                scratch = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
                for hull in hulls:
                    _fill(scratch, hull, 255, low)
                if view.weight is None:
                    alone[item] = cv2.countNonZero(scratch)
                else:
                    weight = view.weight[low[1] : high[1], low[0] : high[0]]
                    alone[item] = weight[scratch > 0].sum()
    names = np.concatenate([[-1], view.order]).astype(np.int32)
    return names[mask], alone


def visible_share(views: list[View]) -> np.ndarray:
    """(actors,) unoccluded share of each actor's pixels over all views; 0 for actors in no view."""
    count = len(views[0].items.shapes)
    visible, alone = np.zeros(count), np.zeros(count)
    for view in views:
        mask, alone_in_view = item_mask(view)
        weight = None if view.weight is None else view.weight[mask >= 0]
        visible += np.bincount(mask[mask >= 0], weight, minlength=count)
        alone += alone_in_view
    share = np.where(alone > 0, visible / np.maximum(alone, 1), 0.0)
    return np.minimum(share, 1.0)[: views[0].items.actors]

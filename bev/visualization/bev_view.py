"""Bird's-eye view of boxes and points: x (forward) points up, y (left) points left.

Pictures are drawn at twice their size and reduced, for clean thin slanted lines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.labels import UNNAMED, LabelSpace
from bev.geometry import Boxes3D
from bev.visualization.canvas import (
    BITS,
    dashes,
    draw_segments,
    draw_text,
    fill_polygon,
    fixed_point,
)
from bev.visualization.colors import (
    EGO,
    FAINT_TEXT,
    GRID,
    GROUND_TRUTH,
    LIDAR,
    PANEL,
    Color,
    class_color,
)
from bev.visualization.segmentation import SegmentationMaps, draw_segmentation

_FINE = 2  # drawing scale before reduction
_MOVING = 0.5  # m/s, minimum speed of boxes with an arrow
# The outline of the nuScenes car (Renault Zoe, 4.08 x 1.73 m) around its rear axle, metres.
_EGO_OUTLINE = ((-0.9, 0.7), (-0.7, 0.85), (2.5, 0.85), (3.0, 0.7), (3.15, 0.4),
                (3.15, -0.4), (3.0, -0.7), (2.5, -0.85), (-0.7, -0.85), (-0.9, -0.7))  # fmt: skip
_EGO_WINDOW = ((1.2, 0.68), (1.9, 0.6), (1.9, -0.6), (1.2, -0.68))


REACH = 54.0  # metres, slightly more than most BEV grids on nuScenes


@dataclass(frozen=True)
class BevView:
    """Square view centred on the ego vehicle.

    Attributes:
        pixels: side length of the picture.
        reach: distance from the ego vehicle to each border, metres.
    """

    pixels: int = 580
    reach: float = REACH

    def locate(self, points: np.ndarray) -> np.ndarray:
        """Convert ego coordinates (..., 2 or 3), metres, to continuous pixels (..., 2)."""
        points = np.asarray(points, dtype=np.float64)
        scale = self.pixels / (2 * self.reach)
        return self.pixels / 2 - scale * points[..., 1::-1]


def draw_bev(
    view: BevView = BevView(),
    *,
    gt_boxes: Boxes3D | None = None,
    predictions: Boxes3D | None = None,
    lidar: Float[Tensor, "P 3"] | None = None,
    lidar_colors: np.ndarray | None = None,
    segmentation: Sequence[SegmentationMaps] = (),
    space: LabelSpace = UNNAMED,
) -> np.ndarray:
    """Draw a scene from above.

    Args:
        view: size and reach of the picture.
        gt_boxes: ground-truth boxes in the ego frame, drawn as thin white dashed outlines with a
            tick at the front.
        predictions: predicted boxes in the ego frame, drawn as filled outlines in the class colours
            with a strong front edge. The arrow of a moving box ends at its position in one second,
            for both kinds of boxes.
        lidar: points in the ego frame, metres.
        lidar_colors: (P, 3) uint8 RGB of the points; grey by default.
        segmentation: maps drawn below everything else: predicted cells are tinted, and ground truth
            has a thin white border.
        space: label space with the colours of the classes.

    Returns:
        (pixels, pixels, 3) uint8 RGB.
    """
    fine = BevView(view.pixels * _FINE, view.reach)
    image = np.full((fine.pixels, fine.pixels, 3), PANEL, np.uint8)
    for maps in segmentation:
        draw_segmentation(image, maps, fine.locate)
    rings = [r for r in (10, 20, 30, 40, 50) if r < view.reach]
    for ring in rings:
        _circle(image, fine, ring)
    for end in ((1, 0), (0, 1)):
        line = fine.locate(np.array([np.negative(end), end]) * view.reach)
        draw_segments(image, line[None], GRID, 1)
    if lidar is not None and len(lidar):
        _scatter(image, fine, lidar.numpy(), lidar_colors)
    _draw_ego(image, fine)
    moving = False
    for boxes, color in ((gt_boxes, GROUND_TRUTH), (predictions, None)):
        if boxes is not None:
            moving |= _draw_outlines(image, fine, boxes.to("cpu"), color, space)
    picture: np.ndarray = cv2.resize(
        image, (view.pixels, view.pixels), interpolation=cv2.INTER_AREA
    )
    if moving:
        at = (12.0, view.pixels - 12.0)
        draw_text(picture, "arrows: motion within 1 s", at, 11, FAINT_TEXT)
    for ring in rings:
        angle = math.radians(-45)
        x, y = view.locate(np.array([ring * math.cos(angle), ring * math.sin(angle)]))
        draw_text(picture, f"{ring} m", (x, y), 10, FAINT_TEXT, anchor="mm", plate=PANEL)
    return picture


def _circle(image: np.ndarray, view: BevView, radius: float) -> None:
    center = fixed_point(view.locate(np.zeros(2))).tolist()
    pixels = round(radius * view.pixels / (2 * view.reach) * (1 << BITS))
    cv2.circle(image, center, pixels, GRID, _FINE, cv2.LINE_AA, BITS)


def _scatter(
    image: np.ndarray, view: BevView, points: np.ndarray, colors: np.ndarray | None
) -> None:
    pixels = np.floor(view.locate(points)).astype(int)
    colors = np.broadcast_to(LIDAR if colors is None else colors, (len(points), 3))
    for dx in range(_FINE):
        for dy in range(_FINE):
            x, y = pixels[:, 0] + dx, pixels[:, 1] + dy
            seen = (x >= 0) & (y >= 0) & (x < view.pixels) & (y < view.pixels)
            image[y[seen], x[seen]] = colors[seen]


def _draw_ego(image: np.ndarray, view: BevView) -> None:
    fill_polygon(image, view.locate(np.array(_EGO_OUTLINE)), EGO)
    fill_polygon(image, view.locate(np.array(_EGO_WINDOW)), GRID)


def _draw_outlines(
    image: np.ndarray, view: BevView, boxes: Boxes3D, fixed: Color | None, space: LabelSpace
) -> bool:
    """Draw outlines of boxes, lowest score first; returns whether any box moves.

    Args:
        image: picture to draw into.
        view: view of the picture.
        boxes: boxes in the ego frame.
        fixed: colour of all boxes, in the style of ground truth; None for the style of predictions.
        space: label space with the colours of the classes.
    """
    footprints = boxes.footprint().double().numpy()
    velocity = torch.nan_to_num(boxes.velocity).double().numpy()
    moving = np.linalg.norm(velocity, axis=1) > _MOVING
    for index in torch.argsort(boxes.score, stable=True).tolist():
        outline = view.locate(footprints[index])
        color = fixed or class_color(space, int(boxes.label[index]))
        center, nose = outline.mean(axis=0), outline[:2].mean(axis=0)
        edges = np.stack([outline, np.roll(outline, -1, axis=0)], axis=1)
        if fixed:
            draw_segments(image, dashes(edges, 5 * _FINE / 2, 3 * _FINE / 2), color, _FINE)
            draw_segments(image, np.array([[center, nose]]), color, _FINE)
        else:
            fill_polygon(image, outline, color, 0.30)
            small = np.linalg.norm(outline[0] - outline[2]) < 14 * _FINE
            draw_segments(image, edges, color, _FINE if small else 2 * _FINE - 1)
            draw_segments(image, edges[:1], color, _FINE if small else 4 * _FINE - 1)
        if moving[index]:
            middle = footprints[index].mean(axis=0)
            tip = view.locate(middle + velocity[index])
            _arrow(image, center, tip, color)
    return bool(moving.any())


def _arrow(image: np.ndarray, start: np.ndarray, tip: np.ndarray, color: Color) -> None:
    length = float(np.linalg.norm(tip - start))
    along = (tip - start) / length
    across = np.array([-along[1], along[0]])
    size = min(5.0 * _FINE, 0.7 * length)
    draw_segments(image, np.array([[start, tip - along * size * 0.8]]), color, _FINE)
    barbs = tip - along * size + np.outer([0.42, -0.42], across * size)
    fill_polygon(image, np.array([tip, *barbs]), color)

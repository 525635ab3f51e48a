"""Bird's-eye view of boxes, maps and points: x (forward) points up, y (left) points left.

The same drawing is rendered as pixels (:func:`draw_bev`) or as a vector graphic
(:func:`bev_figure`), see ``bev.visualization.surfaces``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.data.labels import UNNAMED, LabelSpace
from bev.geometry import BevGrid, Boxes3D
from bev.visualization.canvas import dashes
from bev.visualization.colors import DARK, Color, Theme, class_color
from bev.visualization.results.styles import LINE_STYLES, LineStyle
from bev.visualization.segmentation import SegmentationMaps, draw_cells, draw_segmentation
from bev.visualization.surfaces.base import Surface
from bev.visualization.surfaces.raster import RasterSurface
from bev.visualization.tracks import Track

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CROWDED = 36  # pixels between rings up to which only every other one is named
_MOVING = 0.5  # m/s, minimum speed of boxes with an arrow
_SHORTER = 0.5  # dashes, as a share of those in camera images
_LINE = 10  # pixels between the scores of several sources

EGO_OUTLINE = ((-0.9, 0.7), (-0.7, 0.85), (2.5, 0.85), (3.0, 0.7), (3.15, 0.4),
               (3.15, -0.4), (3.0, -0.7), (2.5, -0.85), (-0.7, -0.85), (-0.9, -0.7))  # fmt: skip
"""The outline of the nuScenes car (Renault Zoe, 4.08 x 1.73 m) around its rear axle, metres."""

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


class CellColors(NamedTuple):
    """Colours of the cells of a BEV grid.

    Attributes:
        grid: the grid, in the ego frame.
        colors: (Y, X, 4) red, green, blue and opacity, 0-255.
    """

    grid: BevGrid
    colors: UInt8[np.ndarray, "Y X 4"]


def draw_bev(
    view: BevView = BevView(),
    *,
    gt_boxes: Boxes3D | None = None,
    predictions: Boxes3D | Sequence[Boxes3D] | None = None,
    lidar: Float[Tensor, "P 3"] | None = None,
    lidar_colors: np.ndarray | None = None,
    segmentation: Sequence[SegmentationMaps] = (),
    cells: CellColors | None = None,
    tracks: Sequence[Track] = (),
    scores: bool = False,
    space: LabelSpace = UNNAMED,
    theme: Theme = DARK,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw a scene from above.

    Args:
        view: size and reach of the picture.
        gt_boxes: ground-truth boxes in the ego frame, drawn as thin dashed outlines with a tick at
            the front.
        predictions: predicted boxes in the ego frame, drawn as filled outlines in the class colours
            with a strong front edge. The arrow of a moving box ends at its position in one second,
            for both kinds of boxes. Those of several sources, at most four, have different lines
            (``bev.visualization.results.styles``).
        lidar: points in the ego frame, metres.
        lidar_colors: (P, 3) uint8 RGB of the points; grey by default.
        segmentation: maps drawn below everything else: predicted cells are tinted, and ground truth
            has a thin border.
        cells: coloured cells, below the maps.
        tracks: past positions, drawn as thin lines in the colour of the class.
        scores: whether to write the score beside each predicted box.
        space: label space with the colours of the classes.
        theme: colours of everything else.

    Returns:
        (pixels, pixels, 3) uint8 RGB.
    """
    surface = RasterSurface(view.pixels, theme.panel)
    _draw(
        surface, view, gt_boxes, predictions, lidar, lidar_colors, segmentation, cells, tracks,
        scores, space, theme,
    )  # fmt: skip
    return surface.picture()


def bev_figure(view: BevView = BevView(), **drawn: Any) -> "Figure":
    """Draw a scene from above as a figure of matplotlib, which can be saved as SVG or PDF.

    The figure has the geometry of the pixels of :func:`draw_bev`.

    Args:
        view: size and reach of the picture; 100 pixels are one inch.
        drawn: further arguments of :func:`draw_bev`.
    """
    from bev.visualization.surfaces.vector import VectorSurface

    theme = drawn.get("theme", DARK)
    surface = VectorSurface(view.pixels, theme.panel)
    defaults = {
        "gt_boxes": None, "predictions": None, "lidar": None, "lidar_colors": None,
        "segmentation": (), "cells": None, "tracks": (), "scores": False, "space": UNNAMED,
        "theme": DARK,
    }  # fmt: skip
    _draw(surface, view, **(defaults | drawn))
    return surface.figure


def _draw(
    surface: Surface,
    view: BevView,
    gt_boxes: Boxes3D | None,
    predictions: Boxes3D | Sequence[Boxes3D] | None,
    lidar: Float[Tensor, "P 3"] | None,
    lidar_colors: np.ndarray | None,
    segmentation: Sequence[SegmentationMaps],
    cells: CellColors | None,
    tracks: Sequence[Track],
    scores: bool,
    space: LabelSpace,
    theme: Theme,
) -> None:
    if cells is not None:
        draw_cells(surface, cells.colors, cells.grid, view.locate)
    for maps in segmentation:
        draw_segmentation(surface, maps, view.locate, theme.ground_truth)
    rings = [r for r in (10, 20, 30, 40, 50) if r < view.reach]
    scale = view.pixels / (2 * view.reach)
    for ring in rings:
        surface.circle(view.locate(np.zeros(2)), ring * scale, theme.grid, 1)
    for end in ((1, 0), (0, 1)):
        line = view.locate(np.array([np.negative(end), end]) * view.reach)
        surface.lines(line[None], theme.grid, 0.5)
    if lidar is not None and len(lidar):
        colors = np.array(theme.lidar, np.uint8) if lidar_colors is None else lidar_colors
        surface.dots(view.locate(lidar.numpy()), np.broadcast_to(colors, (len(lidar), 3)))
    draw_ego(surface, view, theme)
    for track in tracks:
        points = view.locate(track.points.numpy())
        color = class_color(space, track.label)
        surface.lines(np.stack([points[:-1], points[1:]], axis=1), color, 1)
    moving = False
    predicted = [predictions] if isinstance(predictions, Boxes3D) else [*(predictions or ())]
    if gt_boxes is not None:
        moving |= _draw_outlines(surface, view, gt_boxes.to("cpu"), space, theme.ground_truth)
    for boxes, style in zip(predicted, LINE_STYLES[: len(predicted)], strict=True):
        moving |= _draw_outlines(surface, view, boxes.to("cpu"), space, None, style)
        if scores:
            _write_scores(surface, view, boxes.to("cpu"), theme, style, len(predicted) > 1)
    if moving:
        at = (12.0, view.pixels - 12.0)
        surface.text("arrows: motion within 1 s", at, 11, theme.faint_text, plate=theme.panel)
    for ring in rings if 10 * scale > _CROWDED else [r for r in rings if r % 20 == 0]:
        angle = math.radians(-45)
        x, y = view.locate(np.array([ring * math.cos(angle), ring * math.sin(angle)])).tolist()
        surface.text(f"{ring} m", (x, y), 10, theme.faint_text, "mm", theme.panel)


def draw_ego(surface: Surface, view: BevView, theme: Theme) -> None:
    """Draw the ego vehicle."""
    surface.fill(view.locate(np.array(EGO_OUTLINE)), theme.ego)
    surface.fill(view.locate(np.array(_EGO_WINDOW)), theme.grid)


def _draw_outlines(
    surface: Surface,
    view: BevView,
    boxes: Boxes3D,
    space: LabelSpace,
    fixed: Color | None,
    style: LineStyle = LINE_STYLES[0],
) -> bool:
    """Draw outlines of boxes, lowest score first; returns whether any box moves.

    Args:
        surface: surface to draw on.
        view: view of the picture.
        boxes: boxes in the ego frame.
        space: label space with the colours of the classes.
        fixed: colour of all boxes, in the style of ground truth; None for the style of predictions.
        style: line style of predictions.
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
            surface.lines(dashes(edges, 2.5, 1.5), color, 1)
            surface.lines(np.array([[center, nose]]), color, 1)
        else:
            if style.filled:
                surface.fill(outline, color, 0.30)
            small = np.linalg.norm(outline[0] - outline[2]) < 14
            dash, gap = style.dash * _SHORTER, style.gap * _SHORTER
            lines = dashes(edges, dash, gap) if dash else edges
            surface.lines(lines, color, 1 if small else 1.5)
            surface.lines(edges[:1], color, 1 if small else 3.5)
        if moving[index]:
            middle = footprints[index].mean(axis=0)
            tip = view.locate(middle + velocity[index])
            _arrow(surface, center, tip, color)
    return bool(moving.any())


def _write_scores(
    surface: Surface, view: BevView, boxes: Boxes3D, theme: Theme, style: LineStyle, marks: bool
) -> None:
    for outline, score in zip(boxes.footprint().numpy(), boxes.score.tolist(), strict=True):
        pixels = view.locate(outline)
        if (pixels >= 0).all() and (pixels < view.pixels).all():
            below = 3 + _LINE * style.row
            at = (float(pixels[:, 0].max()) + 3, float(pixels[:, 1].mean()) + below)
            text = f"{score:.2f}".lstrip("0")
            surface.text(f"{style.mark} {text}" if marks else text, at, 9, theme.text)


def _arrow(surface: Surface, start: np.ndarray, tip: np.ndarray, color: Color) -> None:
    length = float(np.linalg.norm(tip - start))
    along = (tip - start) / length
    across = np.array([-along[1], along[0]])
    size = min(5.0, 0.7 * length)
    surface.lines(np.array([[start, tip - along * size * 0.8]]), color, 1)
    barbs = tip - along * size + np.outer([0.42, -0.42], across * size)
    surface.fill(np.array([tip, *barbs]), color)

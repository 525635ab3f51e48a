"""Segmentation maps in the BEV: predicted cells are tinted, ground truth has a thin border."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from bev.geometry import BevGrid
from bev.visualization.colors import Color
from bev.visualization.surfaces.base import Surface

Locate = Callable[[np.ndarray], np.ndarray]
_OPACITY = 0.55


@dataclass(frozen=True)
class SegmentationMaps:
    """Maps of K layers of one sample in the ego frame.

    Attributes:
        grid: BEV grid of the maps.
        layers: names of the layers.
        colors: colour of each layer, RGB.
        predicted: predicted cells; None to draw ground truth only.
        ground_truth: cells that the ground truth covers.
    """

    grid: BevGrid
    layers: Sequence[str]
    colors: Sequence[Color]
    predicted: Bool[Tensor, "K Y X"] | None
    ground_truth: Bool[Tensor, "K Y X"]


def draw_segmentation(
    surface: Surface, maps: SegmentationMaps, pixels_of: Locate, border: Color
) -> None:
    """Draw maps, the largest layer first.

    Args:
        surface: surface to draw on.
        maps: maps to draw.
        pixels_of: function from ego coordinates (..., 2) to pixels (..., 2).
        border: colour of the border of ground truth.
    """
    shown = maps.ground_truth if maps.predicted is None else maps.predicted
    for number in shown.flatten(1).sum(1).argsort(descending=True).tolist():
        mask = shown[number].cpu().numpy()
        colors = np.zeros((*mask.shape, 4), np.uint8)
        colors[mask] = (*maps.colors[number], round(255 * _OPACITY))
        draw_cells(surface, colors, maps.grid, pixels_of)
        if maps.predicted is not None:
            edges = outline(maps.ground_truth[number].cpu().numpy())
            low, step = (np.array([maps.grid.x[i], maps.grid.y[i]]) for i in (0, 2))
            surface.lines(pixels_of(low + edges * step), border, 0.5)


def draw_cells(
    surface: Surface, colors: UInt8[np.ndarray, "Y X 4"], grid: BevGrid, pixels_of: Locate
) -> None:
    """Draw the cells of a grid in colours with opacities."""
    corners = np.array([[grid.x[1], grid.y[1]], [grid.x[0], grid.y[0]]])
    (left, top), (right, bottom) = pixels_of(corners).tolist()
    # x points up and y left: the first row of the picture is the last x, its first column the
    # last y.
    surface.cells(colors.transpose(1, 0, 2)[::-1, ::-1], (left, top, right, bottom))


def outline(mask: Bool[np.ndarray, "Y X"]) -> Float[np.ndarray, "S 2 2"]:
    """Border between the cells of a mask and the others, as segments (x, y) in units of cells."""
    padded = np.pad(mask, 1)
    level = _runs(padded[1:] != padded[:-1])
    upright = _runs((padded[:, 1:] != padded[:, :-1]).T)[..., ::-1]
    # Padding shifts positions along a run by one cell.
    return np.concatenate([level - (1.0, 0.0), upright - (0.0, 1.0)])


def _runs(edges: Bool[np.ndarray, "n m"]) -> Float[np.ndarray, "S 2 2"]:
    """Runs of True in each row, as segments from (first, row) to (last + 1, row)."""
    change = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    ends = [np.argwhere(change == sign)[:, ::-1] for sign in (1, -1)]
    return np.stack(ends, axis=1).astype(float)

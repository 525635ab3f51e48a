"""BEV segmentation maps from above: predicted cells are tinted, ground truth has a white border."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool
from torch import Tensor

from bev.geometry import BevGrid
from bev.visualization.colors import GROUND_TRUTH, Color

Locate = Callable[[np.ndarray], np.ndarray]
_OPACITY = 0.45


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


def draw_segmentation(image: np.ndarray, maps: SegmentationMaps, pixels_of: Locate) -> None:
    """Draw maps in place, the largest layer first.

    Args:
        image: (H, W, 3) uint8.
        maps: maps to draw.
        pixels_of: function from ego coordinates (..., 2) to continuous pixels (..., 2).
    """
    size = (image.shape[0], image.shape[1])
    shown = maps.ground_truth if maps.predicted is None else maps.predicted
    for number in shown.flatten(1).sum(1).argsort(descending=True).tolist():
        color = np.array(maps.colors[number])
        inside = _on_picture(shown[number], size, maps.grid, pixels_of) > 0
        image[inside] = np.round((1 - _OPACITY) * image[inside] + _OPACITY * color)
        if maps.predicted is not None:
            covered = _on_picture(maps.ground_truth[number], size, maps.grid, pixels_of)
            border, _ = cv2.findContours(covered, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(image, border, -1, GROUND_TRUTH, 1)


def _on_picture(
    mask: Bool[Tensor, "Y X"], size: tuple[int, int], grid: BevGrid, pixels_of: Locate
) -> np.ndarray:
    """Warp a mask of cells to (H, W) uint8 pixels; cells are squares."""
    low = np.array([grid.x[0], grid.y[0]])
    step = np.array([grid.x[2], grid.y[2]])
    # Three cell corners and their pixels define the affine map. Half a pixel converts to OpenCV's
    # convention, and half a cell as well, since a pixel of the mask is a cell.
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    targets = pixels_of(low + corners * step)
    matrix = cv2.getAffineTransform(
        (corners - 0.5).astype(np.float32), (targets - 0.5).astype(np.float32)
    )
    pixels = mask.cpu().numpy().astype(np.uint8)
    return cv2.warpAffine(pixels, matrix, size[::-1], flags=cv2.INTER_NEAREST)

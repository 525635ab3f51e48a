"""Pictures that lie on the ground: maps of heads, and the energy of BEV features."""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from bev.geometry import BevGrid
from bev.visualization.internals.features import energy, energy_scale
from bev.visualization.segmentation import SegmentationMaps
from bev.visualization.viewer.contents import GroundMap

_OPACITY = 0.55
_SIDE = 512  # pixels; smaller maps are enlarged, so that their cells have sharp borders


def ground_map(name: str, colors: UInt8[np.ndarray, "Y X 4"], grid: BevGrid) -> GroundMap:
    """A map from the colours and opacities of the cells of a grid."""
    factor = max(1, round(_SIDE / max(colors.shape[:2])))
    pixels = colors.repeat(factor, axis=0).repeat(factor, axis=1)
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
    if not done:
        raise OSError(f"OpenCV could not encode the map {name!r}.")
    left, low, right, high = map(float, (grid.x[0], grid.y[0], grid.x[1], grid.y[1]))
    return GroundMap(name, (left, low, right, high), data.tobytes())


def segmentation_maps(head: str, maps: SegmentationMaps) -> Iterator[GroundMap]:
    """Predicted cells of a head and those of the ground truth, the smallest layer on top."""
    sets = [("ground truth", maps.ground_truth)]
    sets += [] if maps.predicted is None else [("predicted", maps.predicted)]
    for name, cells in sets:
        yield ground_map(f"{head}: {name}", _layered(cells, maps), maps.grid)


def energy_map(name: str, features: Float[Tensor, "C Y X"], grid: BevGrid) -> GroundMap:
    """Energy of BEV features; cells with little are transparent."""
    strength = energy(features).cpu()
    scale = energy_scale(strength)
    colors = scale.colors(strength)
    share = (strength.double().numpy() / max(scale.high, 1e-12)).clip(0, 1)
    opacity = np.round(255 * (0.25 + 0.65 * share)).astype(np.uint8)
    return ground_map(name, np.concatenate([colors, opacity[..., None]], axis=2), grid)


def _layered(cells: Bool[Tensor, "K Y X"], maps: SegmentationMaps) -> UInt8[np.ndarray, "Y X 4"]:
    colors = np.zeros((*cells.shape[1:], 4), np.uint8)
    for number in cells.flatten(1).sum(1).argsort(descending=True).tolist():
        colors[cells[number].cpu().numpy()] = (*maps.colors[number], round(255 * _OPACITY))
    return colors

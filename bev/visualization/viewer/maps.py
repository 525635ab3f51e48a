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

Extent = tuple[float, float, float, float]
"""Left, low, right and high border, metres."""

_OPACITY = 0.55
_SIDE = 512  # pixels; smaller maps are enlarged, so that their cells have sharp borders


def ground_map(
    name: str,
    colors: UInt8[np.ndarray, "Y X 4"],
    grid: BevGrid,
    ego_from_grid: Float[Tensor, "4 4"] | None = None,
) -> GroundMap:
    """A map from the colours and opacities of the cells of a grid.

    Args:
        name: name of the map.
        colors: RGBA of each cell.
        grid: the grid.
        ego_from_grid: pose of the grid's frame in the ego frame, if it is another one; the map lies
            on the ground of the ego frame all the same.
    """
    factor = max(1, round(_SIDE / max(colors.shape[:2])))
    pixels = colors.repeat(factor, axis=0).repeat(factor, axis=1)
    extent = (grid.x[0], grid.y[0], grid.x[1], grid.y[1])
    if ego_from_grid is not None:
        pixels, extent = _turned(pixels, extent, ego_from_grid.double().cpu().numpy())
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
    if not done:
        raise OSError(f"OpenCV could not encode the map {name!r}.")
    left, low, right, high = map(float, extent)
    return GroundMap(name, (left, low, right, high), data.tobytes())


def segmentation_maps(
    head: str, maps: SegmentationMaps, ego_from_grid: Float[Tensor, "4 4"] | None = None
) -> Iterator[GroundMap]:
    """Predicted cells of a head and those of the ground truth, the smallest layer on top."""
    sets = [("ground truth", maps.ground_truth)]
    sets += [] if maps.predicted is None else [("predicted", maps.predicted)]
    for name, cells in sets:
        yield ground_map(f"{head}: {name}", _layered(cells, maps), maps.grid, ego_from_grid)


def energy_map(
    name: str,
    features: Float[Tensor, "C Y X"],
    grid: BevGrid,
    ego_from_grid: Float[Tensor, "4 4"] | None = None,
) -> GroundMap:
    """Energy of BEV features; cells with little are transparent."""
    strength = energy(features).cpu()
    scale = energy_scale(strength)
    colors = scale.colors(strength)
    share = (strength.double().numpy() / max(scale.high, 1e-12)).clip(0, 1)
    opacity = np.round(255 * (0.25 + 0.65 * share)).astype(np.uint8)
    cells = np.concatenate([colors, opacity[..., None]], axis=2)
    return ground_map(name, cells, grid, ego_from_grid)


def _turned(
    pixels: UInt8[np.ndarray, "Y X 4"], extent: Extent, ego_from_grid: np.ndarray
) -> tuple[UInt8[np.ndarray, "H W 4"], Extent]:
    """A picture of the ground in another frame, in its surrounding rectangle, and the extent."""
    left, low, right, high = extent
    step = np.array([(right - left) / pixels.shape[1], (high - low) / pixels.shape[0]])
    turn = np.eye(3)
    turn[:2] = ego_from_grid[:2, [0, 1, 3]]
    corners = turn @ [[left, right, left, right], [low, low, high, high], [1, 1, 1, 1]]
    first, last = corners[:2].min(axis=1), corners[:2].max(axis=1)
    # From the pixels of the result to the ego frame, the grid's frame and its pixels; OpenCV's
    # pixel centres lie at integers.
    ego_from_result = np.diag([*step, 1.0])
    ego_from_result[:2, 2] = first + 0.5 * step
    source_from_grid = np.diag([*(1 / step), 1.0])
    source_from_grid[:2, 2] = -np.array([left, low]) / step - 0.5
    matrix = source_from_grid @ np.linalg.inv(turn) @ ego_from_result
    width, height = np.ceil((last - first) / step - 1e-6).astype(int).tolist()
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(pixels, matrix[:2], (width, height), flags=flags)
    end = first + step * (width, height)
    return np.asarray(turned), (float(first[0]), float(first[1]), float(end[0]), float(end[1]))


def _layered(cells: Bool[Tensor, "K Y X"], maps: SegmentationMaps) -> UInt8[np.ndarray, "Y X 4"]:
    colors = np.zeros((*cells.shape[1:], 4), np.uint8)
    for number in cells.flatten(1).sum(1).argsort(descending=True).tolist():
        colors[cells[number].cpu().numpy()] = (*maps.colors[number], round(255 * _OPACITY))
    return colors

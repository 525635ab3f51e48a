"""The pooling plan: which depth point feeds which BEV cell, in the order of cells and of pixels.

It depends on geometry alone. The pattern is a sparse matrix, cells x pixels with one entry a depth
point inside the grid. Points come grouped by pixel; the order by cell is that matrix transposed,
so a counting sort suffices (no general sort on the CPU, one on other devices).

Legend: B samples, N cameras, D depth bins, H W feature rows and columns, Z Y X grid.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from bev.geometry import BevGrid

Array = Tensor | np.ndarray


@dataclass(frozen=True)
class VoxelPlan:
    """The pooling pattern of a batch, both ways.

    Points are numbered in (B, N, H, W, D) order, pixels in (B, N, H, W), cells in (B, Y, X, Z). M
    is the number of points, of which P lie inside the grid. The arrays of length M hold the points
    inside first; the last M - P entries mean nothing, so that no shape depends on the data and no
    device waits for another. Integers are int32 where every number fits, int64 otherwise.

    Attributes:
        frustum_shape: (B, N, D, H, W).
        grid_shape: (Z, Y, X).
        point_by_cell: (M,) the points in the order of cells; within a cell in the order of points.
        pixel_by_cell: (M,) the pixel of each of these.
        cell_start: (cells + 1,) where each cell's points start; the last is P.
        point_by_pixel: (M,) the points in the order of pixels, which is their own.
        cell_by_pixel: (M,) the cell of each of these.
        pixel_start: (pixels + 1,) where each pixel's points start.
    """

    frustum_shape: tuple[int, int, int, int, int]
    grid_shape: tuple[int, int, int]
    point_by_cell: Int[Tensor, " M"]
    pixel_by_cell: Int[Tensor, " M"]
    cell_start: Int[Tensor, " cell_starts"]
    point_by_pixel: Int[Tensor, " M"]
    cell_by_pixel: Int[Tensor, " M"]
    pixel_start: Int[Tensor, " pixel_starts"]

    @classmethod
    @torch.no_grad()
    def from_points(cls, points: Float[Tensor, "B N D H W 3"], grid: BevGrid) -> "VoxelPlan":
        """The plan of a frustum's points (BEV frame, metres).

        Points outside the grid, and points that are not finite, are left out. Nothing is cached.

        Raises:
            ValueError: for points of another shape.
        """
        if points.ndim != 6 or points.shape[-1] != 3 or 0 in (points.shape[0], points.shape[2]):
            raise ValueError(
                "VoxelPlan.from_points: points need the shape (B, N, D, H, W, 3), at least one"
                f" sample and one depth bin, not {tuple(points.shape)}."
            )
        pattern = _plan(points, [*grid.x, *grid.y, *grid.z])
        return cls(tuple(points.shape[:-1]), grid.shape, *pattern)

    @property
    def pattern(self) -> list[Tensor]:
        """The six arrays, in the order of the fields."""
        return [
            self.point_by_cell,
            self.pixel_by_cell,
            self.cell_start,
            self.point_by_pixel,
            self.cell_by_pixel,
            self.pixel_start,
        ]


torch.export.register_dataclass(VoxelPlan, serialized_type_name="bev.ops.VoxelPlan")


def index_dtype(points: int, cells: int) -> torch.dtype:
    """int32 where points and cells can be numbered in it (starts go one beyond), else int64."""
    return torch.int32 if max(points, cells) < 2**31 else torch.int64


@torch.library.custom_op("bev::voxel_plan", mutates_args=())
def _plan(
    points: Tensor, axes: list[float]
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The pattern of points (B, N, D, H, W, 3) in a grid with axes (lo, hi, step) of x, y, z."""
    grid, bins = _grid(axes), points.shape[2]
    if points.device.type != "cpu":
        cell, cells = number_every(points, grid)
        return transpose_by_sorting(cell, bins, cells)
    point, cell, cells = number_inside(points, grid)
    return transpose_by_counting(point, cell, cells, bins, points.numel() // 3 // bins)


@_plan.register_fake
def _(points: Tensor, axes: list[float]) -> tuple[Tensor, ...]:
    count, cells = points.numel() // 3, count_cells(points, _grid(axes))
    pixels = count // points.shape[2]
    lengths = (count, count, cells + 1, count, count, pixels + 1)
    dtype = index_dtype(count, cells)
    return tuple(points.new_empty(length, dtype=dtype) for length in lengths)


def _grid(axes: list[float]) -> BevGrid:
    return BevGrid(tuple(axes[0:3]), tuple(axes[3:6]), tuple(axes[6:9]))


def count_cells(points: Tensor, grid: BevGrid) -> int:
    """Cells of all samples' grids."""
    return len(points) * math.prod(grid.shape)


def number_inside(
    points: Float[Tensor, "B N D H W 3"], grid: BevGrid
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"], int]:
    """On the CPU: the points inside, in their order, and their cells; the number of all cells.

    In numpy, which compares, and finds what is true, several times as fast as torch.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # such points are outside
        places, inside = grid.place(*_by_pixel(points).numpy())
    here, cells = np.flatnonzero(inside), count_cells(points, grid)
    int32 = index_dtype(len(inside), cells) == torch.int32
    point = here.astype(np.int32 if int32 else np.int64)
    sample = point // (len(inside) // len(points))
    cell = _number(sample, places, lambda place: place.take(here).astype(point.dtype), grid)
    return point, cell, cells


def number_every(
    points: Float[Tensor, "B N D H W 3"], grid: BevGrid
) -> tuple[Int[Tensor, " M"], int]:
    """On any device: the cell of every point, those outside get the number of all cells; that."""
    places, inside = grid.place(*_by_pixel(points))
    cells = count_cells(points, grid)
    dtype = index_dtype(len(inside), cells)
    point = torch.arange(len(inside), dtype=dtype, device=points.device)
    sample = point // (len(inside) // len(points))
    # Outside, a place may be anything, NaN included: it is replaced before it is cast.
    cell = _number(sample, places, lambda place: place.masked_fill(~inside, 0).to(dtype), grid)
    return cell.masked_fill_(~inside, cells), cells


def _by_pixel(points: Tensor) -> Tensor:
    """(3, M) the coordinates x, y and z of the points in their order."""
    return points.permute(5, 0, 1, 3, 4, 2).reshape(3, -1).float()


def _number(sample: Array, places: tuple[Array, ...], index: Callable, grid: BevGrid) -> Array:
    """Cells from samples, which are overwritten, and places, made integers by ``index``."""
    planes, rows, columns = grid.shape
    x, y, z = places
    for place, size in ((y, rows), (x, columns), (z, planes)):
        if size > 1:  # else the index is 0
            sample *= size
            sample += index(place)
    return sample


def transpose_by_counting(
    point: Int[np.ndarray, " P"], cell: Int[np.ndarray, " P"], cells: int, bins: int, pixels: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The pattern from the points inside, in their order: scipy's CSR to CSC, linear in time."""
    start = np.searchsorted(point, np.arange(pixels + 1, dtype=point.dtype) * bins)
    by_cell = csr_array((point, cell, start), shape=(pixels, cells)).tocsc()

    def padded(values: np.ndarray) -> np.ndarray:
        whole = np.zeros(pixels * bins, dtype=point.dtype)
        whole[: len(values)] = values
        return whole

    arrays = (
        *map(padded, (by_cell.data, by_cell.indices)),
        by_cell.indptr.astype(point.dtype),
        *map(padded, (point, cell)),
        start.astype(point.dtype),
    )
    return tuple(torch.from_numpy(array) for array in arrays)


def transpose_by_sorting(
    cell: Int[Tensor, " M"], bins: int, cells: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The pattern from every point's cell (``cells`` for those outside), on any device.

    Shapes are known beforehand, so a GPU goes on without the CPU. The sort is stable: sums repeat
    to the bit.
    """
    dtype, count = cell.dtype, len(cell)
    by_cell, order = torch.sort(cell, stable=True)
    every = torch.arange(cells + 1, dtype=dtype, device=cell.device)
    cell_start = torch.searchsorted(by_cell, every, out_int32=dtype == torch.int32)
    inside = cell < cells
    until = inside.cumsum(0)
    # Points outside all go to one place behind the last, which is cut off.
    place = torch.where(inside, until - 1, count)

    def compact(values: Tensor) -> Tensor:
        return values.new_zeros(count + 1).scatter_(0, place, values)[:count]

    point = torch.arange(count, dtype=dtype, device=cell.device)
    pixel_start = torch.nn.functional.pad(until.view(-1, bins)[:, -1], (1, 0)).to(dtype)
    by_cell_order = order.to(dtype)
    pixel = by_cell_order // bins
    return by_cell_order, pixel, cell_start, compact(point), compact(cell), pixel_start

"""Pooling plan: the BEV cell of every depth point, in the order of cells and of pixels.

The plan depends on geometry only. Its pattern is a sparse matrix, cells x pixels, with one entry
per depth point inside the grid. Points come grouped by pixel, and grouping them by cell transposes
the matrix. The CPU does this with a counting sort, other devices with a general sort.

Legend: B samples, N cameras, D depth bins, H W feature rows and columns, Z Y X grid.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.geometry import BevGrid


@dataclass(frozen=True)
class VoxelPlan:
    """Pooling pattern of a batch, in the order of cells and of pixels.

    Points are numbered in (B, N, H, W, D) order, pixels in (B, N, H, W), cells in (B, Y, X, Z). M
    is the number of points, of which P lie inside the grid. The arrays of length M contain the P
    points inside first and then M - P unused entries, so that no shape depends on the data and
    devices need not synchronise. Integers are int32 if all values fit, else int64.

    Attributes:
        frustum_shape: (B, N, D, H, W).
        grid_shape: (Z, Y, X).
        point_by_cell: (M,) points in the order of cells; within a cell, in the order of points.
        pixel_by_cell: (M,) pixel of each point in ``point_by_cell``.
        cell_start: (cells + 1,) first index of each cell in ``point_by_cell``; the last entry is P.
        point_by_pixel: (M,) points in the order of pixels, which is the order of points.
        cell_by_pixel: (M,) cell of each point in ``point_by_pixel``.
        pixel_start: (pixels + 1,) first index of each pixel in ``point_by_pixel``.
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
    def from_points(
        cls, points: Float[Tensor, "B N D H W 3"], grid: BevGrid, truncate: bool = False
    ) -> "VoxelPlan":
        """Create the plan of the points of a frustum (BEV frame, metres).

        Points outside the grid and points that are not finite are ignored. Nothing is cached.
        ``truncate`` rounds cell indices towards zero, see :meth:`BevGrid.floor`.

        Raises:
            ValueError: if the points have another shape.
        """
        if points.ndim != 6 or points.shape[-1] != 3 or 0 in (points.shape[0], points.shape[2]):
            raise ValueError(
                "VoxelPlan.from_points: points must have the shape (B, N, D, H, W, 3) with at least"
                f" one sample and one depth bin, not {tuple(points.shape)}."
            )
        pattern = _plan(points, [*grid.x, *grid.y, *grid.z], truncate)
        batch, cameras, bins, height, width, _ = points.shape
        return cls((batch, cameras, bins, height, width), grid.shape, *pattern)

    def to(self, device: torch.device | str) -> "VoxelPlan":
        """Copy the plan to a device."""
        pattern = (part.to(device) for part in self.pattern)
        return VoxelPlan(self.frustum_shape, self.grid_shape, *pattern)

    @property
    def pattern(self) -> list[Tensor]:
        """The six index arrays, in the order of the fields."""
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
    """int32 if it can index points and cells (the last start is one beyond), else int64."""
    return torch.int32 if max(points, cells) < 2**31 else torch.int64


@torch.library.custom_op("bev::voxel_plan", mutates_args=())
def _plan(
    points: Tensor, axes: list[float], truncate: bool = False
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Pattern of points (B, N, D, H, W, 3) in a grid with the axes (lo, hi, step) of x, y, z."""
    grid, bins = _grid(axes), points.shape[2]
    cell, inside, cells = number_cells(points, grid, truncate)
    dtype = index_dtype(len(cell), cells)
    if points.device.type != "cpu":
        # Indices of points outside may be anything, including NaN: replace them before the cast.
        return transpose_by_sorting(cell.masked_fill_(~inside, cells).to(dtype), bins, cells)
    point = inside.nonzero().squeeze(1)
    cell = cell.index_select(0, point).to(dtype)
    start = torch.zeros(len(inside) // bins + 1, dtype=dtype)
    torch.cumsum(inside.view(-1, bins).sum(1), 0, out=start[1:])
    return transpose_by_counting(cell, point.to(dtype), start, bins, cells)


@_plan.register_fake
def _(points: Tensor, axes: list[float], truncate: bool = False) -> tuple[Tensor, ...]:
    planes, rows, columns = _grid(axes).shape
    count, cells = points.numel() // 3, points.shape[0] * planes * rows * columns
    pixels = count // points.shape[2]
    lengths = (count, count, cells + 1, count, count, pixels + 1)
    dtype = index_dtype(count, cells)
    return tuple(points.new_empty(length, dtype=dtype) for length in lengths)


def _grid(axes: list[float]) -> BevGrid:
    x_lo, x_hi, x_step, y_lo, y_hi, y_step, z_lo, z_hi, z_step = axes
    return BevGrid((x_lo, x_hi, x_step), (y_lo, y_hi, y_step), (z_lo, z_hi, z_step))


def number_cells(
    points: Tensor, grid: BevGrid, truncate: bool = False
) -> tuple[Tensor, Tensor, int]:
    """Compute the cell index of every point; ``truncate`` as in :meth:`BevGrid.floor`.

    Returns:
        (M,) cell of each point, in the order of points: floats up to 2^24 cells, where floats are
        exact, and integers beyond; (M,) mask of the points inside the grid; number of cells.
    """
    batch, (planes, rows, columns) = points.shape[0], grid.shape
    by_pixel = points.permute(5, 0, 1, 3, 4, 2).reshape(3, batch, -1).float()
    (ix, iy, iz), inside = grid.floor(*by_pixel, truncate=truncate)
    cells = batch * planes * rows * columns
    if cells >= 2**24:
        ix, iy, iz = (index.masked_fill_(~inside, 0).long() for index in (ix, iy, iz))
    cell = iy.mul_(columns).add_(ix)
    if planes > 1:
        cell.mul_(planes).add_(iz)
    if batch > 1:
        sample = torch.arange(batch, device=points.device).unsqueeze(1)
        cell.add_(sample * (rows * columns * planes))
    return cell.reshape(-1), inside.reshape(-1), cells


def transpose_by_counting(
    cell: Int[Tensor, " P"],
    point: Int[Tensor, " P"],
    pixel_start: Int[Tensor, " pixel_starts"],
    bins: int,
    cells: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Pattern of the points inside, in the order of points: CSR to CSC by scipy, in linear time."""
    from scipy.sparse import csr_array

    pixels = len(pixel_start) - 1
    arrays = (point.numpy(), cell.numpy(), pixel_start.numpy())
    by_cell = csr_array(arrays, shape=(pixels, cells)).tocsc()
    order, pixel, cell_start = (
        torch.from_numpy(part).to(point.dtype)
        for part in (by_cell.data, by_cell.indices, by_cell.indptr)
    )

    def padded(values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values, (0, pixels * bins - len(values)))

    return padded(order), padded(pixel), cell_start, padded(point), padded(cell), pixel_start


def transpose_by_sorting(
    cell: Int[Tensor, " M"], bins: int, cells: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Pattern of the cells of all points (``cells`` for points outside), on any device.

    Shapes do not depend on the data, so a GPU need not synchronise with the CPU. The sort is
    stable, so sums are bitwise reproducible.
    """
    dtype, count = cell.dtype, len(cell)
    by_cell, order = torch.sort(cell, stable=True)
    every = torch.arange(cells + 1, dtype=dtype, device=cell.device)
    cell_start = torch.searchsorted(by_cell, every, out_int32=dtype == torch.int32)
    inside = cell < cells
    until = inside.cumsum(0)
    # Points outside are written to one extra element at the end, which is cut off.
    position = torch.where(inside, until - 1, count)

    def compact(values: Tensor) -> Tensor:
        return values.new_zeros(count + 1).scatter_(0, position, values)[:count]

    point = torch.arange(count, dtype=dtype, device=cell.device)
    pixel_start = torch.nn.functional.pad(until.view(-1, bins)[:, -1], (1, 0)).to(dtype)
    by_cell_order = order.to(dtype)
    pixel = by_cell_order // bins
    return by_cell_order, pixel, cell_start, compact(point), compact(cell), pixel_start

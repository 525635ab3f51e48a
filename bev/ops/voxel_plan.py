"""The pooling plan: which depth point feeds which BEV cell, in the order of cells and of pixels.

It depends on geometry alone. The pattern is a sparse matrix, cells x pixels with one entry a depth
point inside the grid. Points come grouped by pixel; the order by cell is that matrix transposed,
so a counting sort suffices (no general sort on the CPU, one on other devices).

Legend: B samples, N cameras, D depth bins, H W feature rows and columns, Z Y X grid.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.geometry import BevGrid


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

    def to(self, device: torch.device | str) -> "VoxelPlan":
        """The plan on a device."""
        pattern = (part.to(device) for part in self.pattern)
        return VoxelPlan(self.frustum_shape, self.grid_shape, *pattern)

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
    cell, inside, cells = number_cells(points, grid)
    dtype = index_dtype(len(cell), cells)
    if points.device.type != "cpu":
        # Outside, a number may be anything, NaN included: it is replaced before it is cast.
        return transpose_by_sorting(cell.masked_fill_(~inside, cells).to(dtype), bins, cells)
    point = inside.nonzero().squeeze(1)
    cell = cell.index_select(0, point).to(dtype)
    start = torch.zeros(len(inside) // bins + 1, dtype=dtype)
    torch.cumsum(inside.view(-1, bins).sum(1), 0, out=start[1:])
    return transpose_by_counting(cell, point.to(dtype), start, bins, cells)


@_plan.register_fake
def _(points: Tensor, axes: list[float]) -> tuple[Tensor, ...]:
    planes, rows, columns = _grid(axes).shape
    count, cells = points.numel() // 3, points.shape[0] * planes * rows * columns
    pixels = count // points.shape[2]
    lengths = (count, count, cells + 1, count, count, pixels + 1)
    dtype = index_dtype(count, cells)
    return tuple(points.new_empty(length, dtype=dtype) for length in lengths)


def _grid(axes: list[float]) -> BevGrid:
    return BevGrid(tuple(axes[0:3]), tuple(axes[3:6]), tuple(axes[6:9]))


def number_cells(points: Tensor, grid: BevGrid) -> tuple[Tensor, Tensor, int]:
    """(M,) the cell of every point, in the order of points; (M,) which are inside; the cells.

    Numbers are floats where these are exact, which is up to 2^24, and integers beyond.
    """
    batch, (planes, rows, columns) = points.shape[0], grid.shape
    by_pixel = points.permute(5, 0, 1, 3, 4, 2).reshape(3, batch, -1).float()
    (ix, iy, iz), inside = grid.floor(*by_pixel)
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
    """The pattern from the points inside (natural order): scipy's CSR to CSC, linear in time."""
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

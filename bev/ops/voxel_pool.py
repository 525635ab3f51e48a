"""Lift-splat's pooling as a sparse-dense product that never builds the frustum features.

The idea: a BEV cell is ``bev[cell] = sum(depth[point] * context[pixel(point)])`` over the depth
points that fall into it. That is a sparse matrix (cells x pixels, values = depth probabilities)
times a dense one. The plan holds the sparse pattern twice: points in the order of cells for the
forward pass, and points in the order of pixels (their natural order) for the backward pass, so both
directions are segment sums without atomics: exact, and the same bits every time. The operation is
the "splat" of Philion and Fidler, Lift, Splat, Shoot (2020), section 3.2.

Legend: B samples, N cameras, C channels, D depth bins, H W feature rows and columns, Z Y X grid.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from bev.geometry import BevGrid

_SUM = 0  # embedding_bag's number for mode="sum"


@dataclass(frozen=True)
class VoxelPlan:
    """Which depth point feeds which cell, for a batch; depends on geometry alone.

    Points are numbered in (B, N, H, W, D) order, pixels in (B, N, H, W), cells in (B, Z, Y, X).
    P is the number of points inside the grid.

    Attributes:
        frustum_shape: (B, N, D, H, W).
        grid_shape: (Z, Y, X).
        point_by_cell: (P,) the points in the order of cells.
        pixel_by_cell: (P,) the pixel of each of these.
        cell_start: (cells + 1,) where each cell's points start.
        point_by_pixel: (P,) the points in natural order.
        cell_by_pixel: (P,) the cell of each of these.
        pixel_start: (pixels + 1,) where each pixel's points start.
    """

    frustum_shape: tuple[int, int, int, int, int]
    grid_shape: tuple[int, int, int]
    point_by_cell: Int[Tensor, " P"]
    pixel_by_cell: Int[Tensor, " P"]
    cell_start: Int[Tensor, " cell_starts"]
    point_by_pixel: Int[Tensor, " P"]
    cell_by_pixel: Int[Tensor, " P"]
    pixel_start: Int[Tensor, " pixel_starts"]

    @classmethod
    @torch.no_grad()
    def from_points(cls, points: Float[Tensor, "B N D H W 3"], grid: BevGrid) -> "VoxelPlan":
        """The plan of a frustum's points (BEV frame, metres); points outside are left out."""
        batch, cameras, bins, height, width, _ = points.shape
        depth_last = points.permute(0, 1, 3, 4, 2, 5).reshape(batch, -1, 3).float()
        cell_zyx, inside = grid.locate(depth_last)
        planes, rows, columns = grid.shape
        cells, pixels = batch * planes * rows * columns, batch * cameras * height * width
        cell = (cell_zyx[..., 0] * rows + cell_zyx[..., 1]) * columns + cell_zyx[..., 2]
        sample = torch.arange(batch, device=points.device).unsqueeze(1)
        cell = (cell + sample * (planes * rows * columns)).reshape(-1)

        point = inside.reshape(-1).nonzero().squeeze(1)
        cell = cell[point]
        pixel = point // bins
        # A stable sort keeps the points of a cell in natural order: the sums repeat to the bit.
        order = torch.sort(cell.int() if cells < 2**31 else cell, stable=True).indices
        return cls(
            frustum_shape=(batch, cameras, bins, height, width),
            grid_shape=grid.shape,
            point_by_cell=point[order],
            pixel_by_cell=pixel[order],
            cell_start=_starts(cell, cells),
            point_by_pixel=point,
            cell_by_pixel=cell,
            pixel_start=_starts(pixel, pixels),
        )


def voxel_pool(
    depth: Float[Tensor, "B N D H W"], context: Float[Tensor, "B N C H W"], plan: VoxelPlan
) -> Float[Tensor, "B ZC Y X"]:
    """Pool context features into the grid, weighted by depth probabilities.

    Differentiable once, in ``depth`` and ``context``. Half-precision inputs are summed in float32
    and the result has the dtype of ``context``. Channels of the result run (Z, C), C fastest.

    Raises:
        ValueError: where the shapes do not fit the plan.
    """
    batch, cameras, bins, height, width = plan.frustum_shape
    if depth.shape != plan.frustum_shape or context.shape != (
        batch, cameras, context.shape[2], height, width,
    ):  # fmt: skip
        raise ValueError(
            f"voxel_pool: depth {tuple(depth.shape)} and context {tuple(context.shape)} do not fit"
            f" a plan made for (B, N, D, H, W) = {plan.frustum_shape}."
        )
    dtype = torch.float64 if context.dtype == torch.float64 else torch.float32
    flat_depth = depth.permute(0, 1, 3, 4, 2).reshape(-1).to(dtype)
    rows = context.permute(0, 1, 3, 4, 2).reshape(-1, context.shape[2]).to(dtype)
    with torch.autocast(context.device.type, enabled=False):
        pooled = _Pool.apply(flat_depth, rows, plan)
    planes, y, x = plan.grid_shape
    pooled = pooled.view(batch, planes, y, x, -1).permute(0, 1, 4, 2, 3)
    return pooled.reshape(batch, -1, y, x).to(context.dtype)


class _Pool(torch.autograd.Function):
    """Rows of cells from rows of pixels: forward and both gradients as segment sums."""

    @staticmethod
    def forward(ctx, depth: Tensor, context: Tensor, plan: VoxelPlan) -> Tensor:
        ctx.save_for_backward(depth, context)
        ctx.plan = plan
        return _segment_sum(context, plan.pixel_by_cell, plan.cell_start, depth[plan.point_by_cell])

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        depth, context = ctx.saved_tensors
        plan: VoxelPlan = ctx.plan
        # embedding_bag is many times slower where a row's channels are not contiguous.
        grad = grad.contiguous()
        depth_grad = context_grad = None
        if ctx.needs_input_grad[0]:
            # <grad of the point's cell, context of the point's pixel>, one number per point.
            dots = torch.ops.aten._embedding_bag_per_sample_weights_backward(
                context,
                grad,
                plan.cell_by_pixel,
                plan.pixel_start[:-1],
                plan.point_by_pixel // plan.frustum_shape[2],
                _SUM,
            )
            depth_grad = torch.zeros_like(depth)
            depth_grad[plan.point_by_pixel] = dots
        if ctx.needs_input_grad[1]:
            context_grad = _segment_sum(
                grad, plan.cell_by_pixel, plan.pixel_start, depth[plan.point_by_pixel]
            )
        return depth_grad, context_grad, None


def _segment_sum(table: Tensor, index: Tensor, start: Tensor, weight: Tensor) -> Tensor:
    """``out[s] = sum(weight[i] * table[index[i]] for i in start[s]:start[s + 1])``."""
    if len(index) == 0:
        return table.new_zeros(len(start) - 1, table.shape[1])
    return torch.nn.functional.embedding_bag(
        index, table, start, mode="sum", per_sample_weights=weight, include_last_offset=True
    )


def _starts(segment: Int[Tensor, " P"], count: int) -> Int[Tensor, " starts"]:
    """Where each of ``count`` segments starts, given the segment of each entry (any order)."""
    start = torch.zeros(count + 1, dtype=torch.long, device=segment.device)
    torch.cumsum(torch.bincount(segment, minlength=count), 0, out=start[1:])
    return start

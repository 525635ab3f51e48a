"""Published formulations of lift-splat's voxel pooling, to compare ours with.

Written in stock PyTorch from the descriptions in the papers; the GPU kernels of the authors are not
included. All but the sparse product first build the frustum features (points x channels). Depth is
(B, N, D, H, W), context (B, N, C, H, W) and the result (B, C, Y, X), for grids of one cell in z.
"""

import warnings

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bev.geometry import BevGrid
from bev.ops import VoxelPlan


def prefix_sum(depth: Tensor, context: Tensor, points: Tensor, grid: BevGrid) -> Tensor:
    """Philion and Fidler, Lift, Splat, Shoot (2020): the cumulative-sum trick.

    Sorts the points by cell, sums cumulatively over all points, and subtracts at cell boundaries.
    """
    features = _frustum(depth, context)
    cell, inside = _cells(points, grid)
    features, cell = features[inside], cell[inside]
    order = cell.argsort()
    pooled, used = _PrefixSum.apply(features[order], cell[order])
    return _grid(_place(pooled, used, depth, grid), depth, grid)


class _PrefixSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        total = features.cumsum(0)
        last = torch.ones(len(cell), dtype=torch.bool, device=cell.device)
        last[:-1] = cell[1:] != cell[:-1]
        total = total[last]
        total = torch.cat([total[:1], total[1:] - total[:-1]])
        ctx.save_for_backward(last)
        used = cell[last]
        ctx.mark_non_differentiable(used)
        return total, used

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, _: Tensor) -> tuple[Tensor, None]:
        (last,) = ctx.saved_tensors
        segment = last.cumsum(0)
        segment[last] -= 1
        return grad[segment], None


def scatter_add(depth: Tensor, context: Tensor, points: Tensor, grid: BevGrid) -> Tensor:
    """Li et al., BEVDepth (2022): each point adds its features to its cell."""
    cell, inside = _cells(points, grid)
    rows = context.new_zeros(_count(depth, grid), context.shape[2])
    rows = rows.index_add(0, cell[inside], _frustum(depth, context)[inside])
    return _grid(rows, depth, grid)


def interval_sum(depth: Tensor, context: Tensor, plan: VoxelPlan, grid: BevGrid) -> Tensor:
    """Liu et al., BEVFusion (2022): sums over intervals of sorted frustum features.

    Order and intervals are precomputed, as in the paper.
    """
    inside = int(plan.cell_start[-1])
    order = plan.point_by_cell[:inside]
    lengths = plan.cell_start.diff().long()
    rows = torch.segment_reduce(_frustum(depth, context)[order], "sum", lengths=lengths, initial=0)
    return _grid(rows, depth, grid)


def sparse_product(depth: Tensor, context: Tensor, plan: VoxelPlan, grid: BevGrid) -> Tensor:
    """Our pooling pattern with stock ``torch.sparse``: CSR matrices times dense matrices."""
    rows = context.permute(0, 1, 3, 4, 2).reshape(-1, context.shape[2])
    return _grid(_SparseProduct.apply(_pixel_major(depth), rows, plan), depth, grid)


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx, depth: Tensor, context: Tensor, plan: VoxelPlan) -> Tensor:
        ctx.save_for_backward(depth, context)
        ctx.plan = plan
        inside = int(plan.cell_start[-1])
        size = (len(plan.cell_start) - 1, len(context))
        values = depth[plan.point_by_cell[:inside]]
        return _csr(plan.cell_start, plan.pixel_by_cell[:inside], values, size) @ context

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        depth, context = ctx.saved_tensors
        plan, grad = ctx.plan, grad.contiguous()
        inside = int(plan.pixel_start[-1])
        size = (len(context), len(grad))
        point = plan.point_by_pixel[:inside]
        matrix = _csr(plan.pixel_start, plan.cell_by_pixel[:inside], depth[point], size)
        dots = torch.sparse.sampled_addmm(matrix, context, grad.T, beta=0.0)
        depth_grad = torch.zeros_like(depth)
        depth_grad[point] = dots.values()
        return depth_grad, matrix @ grad, None


def _csr(start: Tensor, column: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(start, column, values, size, check_invariants=False)


def _pixel_major(depth: Tensor) -> Tensor:
    return depth.permute(0, 1, 3, 4, 2).reshape(-1)


def _frustum(depth: Tensor, context: Tensor) -> Tensor:
    """(points, C): the outer product of depth and context."""
    product = depth.permute(0, 1, 3, 4, 2).unsqueeze(-1) * context.permute(0, 1, 3, 4, 2).unsqueeze(
        4
    )
    return product.reshape(-1, context.shape[2])


def _cells(points: Tensor, grid: BevGrid) -> tuple[Tensor, Tensor]:
    """Flat cell index (B, Y, X) of each point, and a mask of the points inside the grid."""
    batch = points.shape[0]
    index, inside = grid.locate(points.permute(0, 1, 3, 4, 2, 5).reshape(batch, -1, 3))
    _, rows, columns = grid.shape
    sample = torch.arange(batch, device=points.device).unsqueeze(1)
    cell = (sample * rows + index[..., 1]) * columns + index[..., 2]
    return cell.reshape(-1), inside.reshape(-1)


def _count(depth: Tensor, grid: BevGrid) -> int:
    _, rows, columns = grid.shape
    return depth.shape[0] * rows * columns


def _place(pooled: Tensor, used: Tensor, depth: Tensor, grid: BevGrid) -> Tensor:
    rows = pooled.new_zeros(_count(depth, grid), pooled.shape[1])
    return rows.index_put((used,), pooled)


def _grid(rows: Tensor, depth: Tensor, grid: BevGrid) -> Tensor:
    _, height, width = grid.shape
    return rows.view(depth.shape[0], height, width, -1).permute(0, 3, 1, 2).contiguous()

"""Voxel pooling of lift-splat as a sparse-dense product, without building the frustum features.

A BEV cell is ``bev[cell] = sum(depth[point] * context[pixel(point)])`` over the depth points inside
the cell, that is, a sparse matrix (cells x pixels, values = depth probabilities) times a dense one.
The plan contains the pattern in the order of cells and of pixels, so the forward pass and both
gradients are exact segment sums without atomics, bitwise reproducible. The operation is the "splat"
of Philion and Fidler, Lift, Splat, Shoot (2020), section 3.2.

``bev::voxel_pool`` is an opaque operator of ``torch.library``. It works under ``torch.compile``,
``torch.export``, autocast and DDP. Kernels: ``triton_pool`` on CUDA, ``stock`` elsewhere.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from bev.ops import stock
from bev.ops.cuda import triton_kernels
from bev.ops.voxel_plan import VoxelPlan


def voxel_pool(
    depth: Float[Tensor, "B N D H W"], context: Float[Tensor, "B N C H W"], plan: VoxelPlan
) -> Float[Tensor, "B ZC Y X"]:
    """Pool context features into the grid, weighted by depth probabilities.

    Differentiable once, with respect to ``depth`` and ``context``. Sums are computed in float32
    (float64 for float64). The result has the dtype of ``context`` and is channels-last in memory;
    its channels are ordered (Z, C), C fastest. Inputs whose D and C are contiguous in memory are
    fastest; other layouts are copied once.

    Raises:
        ValueError: if shapes do not fit the plan, tensors are on different devices, or depth or
            context are not floating-point tensors.
        RuntimeError: if differentiated twice.
    """
    batch, cameras, bins, height, width = plan.frustum_shape
    pixels = (batch, cameras, height, width)
    if (
        depth.shape != plan.frustum_shape
        or context.ndim != 5
        or (*context.shape[:2], *context.shape[3:]) != pixels
    ):
        raise ValueError(
            f"voxel_pool: depth {tuple(depth.shape)} and context {tuple(context.shape)} do not fit"
            f" a plan created for (B, N, D, H, W) = {plan.frustum_shape}."
        )
    if not (depth.is_floating_point() and context.is_floating_point()):
        raise ValueError(f"voxel_pool: {depth.dtype} depth, {context.dtype} context; use floats.")
    if not depth.device == context.device == plan.cell_start.device:
        raise ValueError(
            f"voxel_pool: depth is on {depth.device}, context on {context.device} and the plan on"
            f" {plan.cell_start.device}; move them to one device (plan.to)."
        )
    # Here, not in the operator, so that the backward pass saves and reads the same copies.
    inputs = (channels_contiguous(depth), channels_contiguous(context))
    return _pool(*inputs, *plan.pattern, list(plan.grid_shape))


@torch.library.custom_op("bev::voxel_pool", mutates_args=())
def _pool(
    depth: Tensor,
    context: Tensor,
    point_by_cell: Tensor,
    pixel_by_cell: Tensor,
    cell_start: Tensor,
    point_by_pixel: Tensor,
    cell_by_pixel: Tensor,
    pixel_start: Tensor,
    grid_shape: list[int],
) -> Tensor:
    """Pool; the pattern is passed as separate arrays because autograd is slow on tensor lists."""
    by_cell = [point_by_cell, pixel_by_cell, cell_start]
    pattern = [*by_cell, point_by_pixel, cell_by_pixel, pixel_start]
    kernels = triton_kernels(context, pattern) or stock
    pooled = kernels.forward(_flat(depth), _rows(context), pattern)
    return _as_grid(pooled.to(context.dtype), depth.shape[0], grid_shape)


@_pool.register_fake
def _(depth: Tensor, context: Tensor, *pattern_and_grid) -> Tensor:
    *pattern, grid_shape = pattern_and_grid
    cells = pattern[2].shape[0] - 1
    return _as_grid(context.new_empty(cells, context.shape[2]), depth.shape[0], grid_shape)


@torch.library.custom_op("bev::voxel_pool_backward", mutates_args=())
def _pool_backward(
    grad: Tensor, depth: Tensor, context: Tensor, pattern: list[Tensor], needs: list[bool]
) -> tuple[Tensor, Tensor]:
    """Gradients of depth and context; an empty tensor for a gradient that is not needed."""
    batch, cameras, bins, height, width = depth.shape
    kernels = triton_kernels(context, pattern) or stock
    rows = grad.permute(0, 2, 3, 1).reshape(-1, context.shape[2]).contiguous()
    depth_grad, context_grad = kernels.backward(rows, _flat(depth), _rows(context), pattern, needs)
    shape = (batch, cameras, height, width)
    return _as_images(depth_grad, shape, depth), _as_images(context_grad, shape, context)


@_pool_backward.register_fake
def _(
    grad: Tensor, depth: Tensor, context: Tensor, pattern: list[Tensor], needs: list[bool]
) -> tuple[Tensor, Tensor]:
    batch, cameras, _, height, width = depth.shape
    shape = (batch, cameras, height, width)
    depth_grad, context_grad = (
        _as_images(like.new_empty(*shape, like.shape[2]) if needed else None, shape, like)
        for like, needed in zip((depth, context), needs, strict=True)
    )
    return depth_grad, context_grad


def _save(ctx, inputs: tuple, output: Tensor) -> None:
    depth, context, *pattern, _ = inputs
    ctx.save_for_backward(depth, context, *pattern)


def _gradients(ctx, grad: Tensor) -> tuple:
    depth, context, *pattern = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:2])
    results = _pool_backward(grad, depth, context, pattern, needs)
    depth_grad, context_grad = (
        result if needed else None for result, needed in zip(results, needs, strict=True)
    )
    return depth_grad, context_grad, *[None] * len(pattern), None


def _refuse(ctx, *grads: Tensor) -> None:
    raise RuntimeError(
        "voxel_pool can be differentiated once only; its gradients are not differentiable."
    )


_pool.register_autograd(_gradients, setup_context=_save)
_pool_backward.register_autograd(_refuse)


def channels_contiguous(images: Float[Tensor, "B N K H W"]) -> Float[Tensor, "B N K H W"]:
    """Make K contiguous in memory, pixel after pixel; copies only if necessary."""
    return images.movedim(2, -1).contiguous().movedim(-1, 2)


def _flat(depth: Tensor) -> Tensor:
    """(B, N, D, H, W) to contiguous (M,), in the order of points."""
    return _rows(depth).reshape(-1).contiguous()


def _rows(images: Tensor) -> Tensor:
    """(B, N, K, H, W) to (pixels, K); a view if K is contiguous in memory."""
    return images.permute(0, 1, 3, 4, 2).reshape(-1, images.shape[2])


def _as_images(rows: Tensor | None, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Rows of pixels to (B, N, K, H, W) with K contiguous; None to an empty tensor."""
    if rows is None:
        return like.new_empty(0)
    return rows.view(*shape, like.shape[2]).permute(0, 1, 4, 2, 3).to(like.dtype)


def _as_grid(rows: Tensor, batch: int, grid_shape: list[int]) -> Tensor:
    """Rows of cells (B, Y, X, Z) to (B, Z C, Y, X), channels-last in memory."""
    _, height, width = grid_shape
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)

"""Voxel pooling with stock PyTorch operators, on any device.

``embedding_bag`` with weights is the segment sum that both passes need: over points in the order of
cells it gives the pooled cells, over points in the order of pixels the gradient of the context. It
is 20 to 60 times slower if the channels of a row are not contiguous. The gradient of the depth is a
sampled dense-dense product: one dot product per point.
"""

import warnings

import torch
from torch import Tensor

_CHUNK = 2**14  # points gathered at a time if sampled products are not supported


def forward(depth: Tensor, context: Tensor, pattern: list[Tensor]) -> Tensor:
    """Pool (M,) depth and (pixels, C) context into (cells, C), float32 (float64 for float64)."""
    point, pixel, cell_start, *_ = pattern
    inside = int(cell_start[-1])
    dtype = sum_dtype(context)
    weight = depth.index_select(0, point[:inside]).to(dtype)
    return _segment_sum(context.to(dtype), pixel[:inside], cell_start, weight)


def backward(
    grad: Tensor, depth: Tensor, context: Tensor, pattern: list[Tensor], needs: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of depth (M,) and context (pixels, C); None for a gradient that is not needed.

    ``grad`` is the gradient of the cells, (cells, C) with contiguous channels.
    """
    *_, point, cell, pixel_start = pattern
    inside = int(pixel_start[-1])
    point, cell = point[:inside], cell[:inside]
    dtype = sum_dtype(context)
    grad, context = grad.to(dtype), context.to(dtype)
    weight = depth.index_select(0, point).to(dtype)
    depth_grad = context_grad = None
    if needs[0]:
        depth_grad = torch.zeros_like(depth, dtype=dtype)
        # torch.sparse requires at most as many entries as the matrix has elements.
        sparse = depth.device.type in ("cpu", "cuda") and inside <= len(context) * len(grad)
        dots = sampled_dots if sparse else gathered_dots
        if inside:
            depth_grad.scatter_(0, point.long(), dots(context, grad, cell, pixel_start))
    if needs[1]:
        context_grad = _segment_sum(grad, cell, pixel_start, weight)
    return depth_grad, context_grad


def sampled_dots(context: Tensor, grad: Tensor, cell: Tensor, pixel_start: Tensor) -> Tensor:
    """(P,) dot products of each point's context and cell gradient, in the order of pixels."""
    size = (len(context), len(grad))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        pattern = torch.sparse_csr_tensor(
            pixel_start, cell, grad.new_zeros(len(cell)), size, check_invariants=False
        )
    # In place, on the zeros just created, so that the pattern is not copied.
    return torch.sparse.sampled_addmm(pattern, context, grad.T, out=pattern).values()


def gathered_dots(context: Tensor, grad: Tensor, cell: Tensor, pixel_start: Tensor) -> Tensor:
    """Same as :func:`sampled_dots`, in chunks, for devices without sparse matrices."""
    place = torch.arange(len(cell), dtype=cell.dtype, device=cell.device)
    pixel = torch.searchsorted(pixel_start, place, right=True) - 1
    parts = zip(pixel.split(_CHUNK), cell.split(_CHUNK), strict=True)
    return torch.cat(
        [(context.index_select(0, p) * grad.index_select(0, c)).sum(1) for p, c in parts]
    )


def sum_dtype(context: Tensor) -> torch.dtype:
    """Dtype of the sums: float64 for float64, else float32."""
    return torch.float64 if context.dtype == torch.float64 else torch.float32


def _segment_sum(table: Tensor, index: Tensor, start: Tensor, weight: Tensor) -> Tensor:
    """``out[s] = sum(weight[i] * table[index[i]] for i in start[s]:start[s + 1])``."""
    if len(index) == 0:
        return table.new_zeros(len(start) - 1, table.shape[1])
    return torch.nn.functional.embedding_bag(
        index, table, start, mode="sum", per_sample_weights=weight, include_last_offset=True
    )

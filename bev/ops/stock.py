"""The pooling's sums by stock PyTorch operators, on any device.

``embedding_bag`` with weights is the segment sum that both directions need: over points in the
order of cells it gives the pooled cells, over points in the order of pixels the gradient of the
context. It is 20 to 60 times slower where a row's channels do not lie side by side. The gradient
of depth is a sampled dense-dense product: one dot product a point.
"""

import warnings

import torch
from torch import Tensor

_CHUNK = 2**14  # points whose rows are gathered at a time, where there is no sampled product


def forward(depth: Tensor, context: Tensor, pattern: list[Tensor]) -> Tensor:
    """(M,) depth and (pixels, C) context to (cells, C), float32 (float64 from float64)."""
    point, pixel, cell_start, *_ = pattern
    inside = int(cell_start[-1])
    dtype = sum_dtype(context)
    weight = depth.index_select(0, point[:inside]).to(dtype)
    return _segment_sum(context.to(dtype), pixel[:inside], cell_start, weight)


def backward(
    grad: Tensor, depth: Tensor, context: Tensor, pattern: list[Tensor], needs: list[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of depth (M,) and context (pixels, C), each where needed, from that of the cells.

    ``grad`` is (cells, C), its channels side by side.
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
        # torch.sparse takes no more entries than the matrix has places.
        sparse = depth.device.type in ("cpu", "cuda") and inside <= len(context) * len(grad)
        dots = sampled_dots if sparse else gathered_dots
        if inside:
            depth_grad.scatter_(0, point.long(), dots(context, grad, cell, pixel_start))
    if needs[1]:
        context_grad = _segment_sum(grad, cell, pixel_start, weight)
    return depth_grad, context_grad


def sampled_dots(context: Tensor, grad: Tensor, cell: Tensor, pixel_start: Tensor) -> Tensor:
    """(P,) <context of the point's pixel, gradient of its cell>, of points in pixels' order."""
    size = (len(context), len(grad))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        pattern = torch.sparse_csr_tensor(
            pixel_start, cell, grad.new_zeros(len(cell)), size, check_invariants=False
        )
    # In place: zeros of its own, and no copy of the pattern.
    return torch.sparse.sampled_addmm(pattern, context, grad.T, out=pattern).values()


def gathered_dots(context: Tensor, grad: Tensor, cell: Tensor, pixel_start: Tensor) -> Tensor:
    """The same for devices without sparse matrices, a few points at a time to bound the memory."""
    place = torch.arange(len(cell), dtype=cell.dtype, device=cell.device)
    pixel = torch.searchsorted(pixel_start, place, right=True) - 1
    parts = zip(pixel.split(_CHUNK), cell.split(_CHUNK), strict=True)
    return torch.cat(
        [(context.index_select(0, p) * grad.index_select(0, c)).sum(1) for p, c in parts]
    )


def sum_dtype(context: Tensor) -> torch.dtype:
    """What sums are made in: float32, or float64 for float64."""
    return torch.float64 if context.dtype == torch.float64 else torch.float32


def _segment_sum(table: Tensor, index: Tensor, start: Tensor, weight: Tensor) -> Tensor:
    """``out[s] = sum(weight[i] * table[index[i]] for i in start[s]:start[s + 1])``."""
    if len(index) == 0:
        return table.new_zeros(len(start) - 1, table.shape[1])
    return torch.nn.functional.embedding_bag(
        index, table, start, mode="sum", per_sample_weights=weight, include_last_offset=True
    )

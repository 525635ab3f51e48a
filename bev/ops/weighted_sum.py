"""Weighted sums of table rows: a sparse-dense product with a fast backward pass.

``embedding_bag`` computes this sum, but on a CPU its gradient of the table takes 20 times as long
as the sum. Here the gradient is computed as a sum as well, over the transposed matrix, which is
found by one sort.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def weighted_sum(
    table: Float[Tensor, "R C"],
    index: Int[Tensor, "S K"],
    weight: Float[Tensor, "S K"],
    start: Int[Tensor, " starts"],
) -> Float[Tensor, "G C"]:
    """``out[g] = sum(weight[s, k] * table[index[s, k]] for s in start[g]:start[g + 1], every k)``.

    Differentiable once, with respect to ``table`` and ``weight``; sums are bitwise reproducible.

    Args:
        index: row indices into the table. The order that sorts the first column must sort every
            column, as is the case if columns differ by constants.
        start: G + 1 ascending numbers from 0 to S, the start of each group.

    Raises:
        ValueError: in the backward pass, if the order that sorts the first column leaves another
            column unsorted; the gradient of the table would be wrong.
    """
    return _WeightedSum.apply(table, index, weight, start)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, table: Tensor, index: Tensor, weight: Tensor, start: Tensor) -> Tensor:
        ctx.save_for_backward(table, index, weight, start)
        return _bags(table, index, weight, start)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        table, index, weight, start = ctx.saved_tensors
        grad = grad.contiguous()
        table_grad = weight_grad = None
        if ctx.needs_input_grad[0]:
            table_grad = _transposed(grad, index, weight, start, len(table))
        if ctx.needs_input_grad[2]:
            with torch.enable_grad():
                leaf = weight.detach().requires_grad_()
                sums = _bags(table.detach(), index, leaf, start)
            (weight_grad,) = torch.autograd.grad(sums, leaf, grad)
        return table_grad, None, weight_grad, None


def _transposed(grad: Tensor, index: Tensor, weight: Tensor, start: Tensor, rows: int) -> Tensor:
    """Sum over the entries of each table row, column by column, with one sort order for all."""
    numbers = torch.arange(rows + 1, device=index.device)
    group = torch.repeat_interleave(start.diff())
    order = index[:, 0].to(torch.int32).argsort(stable=True)
    group, index, weight = group[order], index[order], weight[order]
    if (index[1:] < index[:-1]).any():
        raise ValueError(
            "The order that sorts the index's first column leaves another one unsorted."
        )
    total = grad.new_zeros(rows, grad.shape[1])
    for column in range(index.shape[1]):
        row_start = torch.searchsorted(index[:, column].contiguous(), numbers)
        total += _bags(grad, group.unsqueeze(1), weight[:, column : column + 1], row_start)
    return total


def _bags(table: Tensor, index: Tensor, weight: Tensor, start: Tensor) -> Tensor:
    return F.embedding_bag(
        index.flatten(),
        table,
        index.shape[1] * start,
        mode="sum",
        per_sample_weights=weight.flatten(),
        include_last_offset=True,
    )

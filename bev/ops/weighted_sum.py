"""Weighted sums of table rows: a sparse matrix times a dense one, fast both ways.

``embedding_bag`` is this sum, but its own gradient of the table takes 20 times as long as the sum
on a CPU. Here that gradient is a sum too, over the transposed matrix, which one sort finds.
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

    Differentiable once, in ``table`` and ``weight``; sums repeat to the bit.

    Args:
        index: rows of the table; the order that sorts the first column must sort them all, as it
            does where columns differ by constants.
        start: G + 1 ascending numbers, 0 to S.

    Raises:
        ValueError: in the backward pass, where that order leaves another column unsorted: the
            table's gradient would be wrong.
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
    """The sums over the entries of each table row: column by column, all in one order."""
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
        own = torch.searchsorted(index[:, column].contiguous(), numbers)
        total += _bags(grad, group.unsqueeze(1), weight[:, column : column + 1], own)
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

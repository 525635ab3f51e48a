"""A weighted sum of table rows and its gradients equal those of a matrix product."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.ops.weighted_sum import weighted_sum

STEPS = torch.tensor([0, 1, 4, 5])  # two neighbours in each of two rows of four cells


def case(seed, groups, entries):
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(0, 7, (entries,), generator=generator)
    inner = torch.randint(0, entries + 1, (groups - 1,), generator=generator).sort().values
    start = torch.cat([torch.tensor([0]), inner, torch.tensor([entries])])
    table = torch.randn(12, 3, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.rand(entries, 4, generator=generator, dtype=torch.float64).requires_grad_()
    return table, first.unsqueeze(1) + STEPS, weight, start


def dense(table, index, weight, start):
    """The weighted sum as a product with a dense matrix."""
    matrix = torch.zeros(len(start) - 1, len(table), dtype=table.dtype)
    for group in range(len(start) - 1):
        for entry in range(int(start[group]), int(start[group + 1])):
            for column in range(index.shape[1]):
                place = torch.zeros_like(matrix)
                place[group, index[entry, column]] = 1
                matrix = matrix + place * weight[entry, column]
    return matrix @ table + 0 * weight.sum()


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 8))
def test_sums_and_gradients_equal_those_of_the_matrix(seed, groups, entries):
    table, index, weight, start = case(seed, groups, entries)
    found, expected = weighted_sum(table, index, weight, start), dense(table, index, weight, start)
    torch.testing.assert_close(found, expected)
    grad = torch.randn(expected.shape, dtype=torch.float64)
    ours = torch.autograd.grad(found, (table, weight), grad)
    theirs = torch.autograd.grad(expected, (table, weight), grad)
    torch.testing.assert_close(ours, theirs)


def test_each_gradient_alone_equals_both_together():
    table, index, weight, start = case(0, 4, 6)
    both = torch.autograd.grad(weighted_sum(table, index, weight, start).sum(), (table, weight))
    alone = [
        torch.autograd.grad(weighted_sum(table, index, weight.detach(), start).sum(), table)[0],
        torch.autograd.grad(weighted_sum(table.detach(), index, weight, start).sum(), weight)[0],
    ]
    torch.testing.assert_close(both, tuple(alone))


def test_a_second_derivative_is_refused():
    table, index, weight, start = case(0, 4, 6)
    (grad,) = torch.autograd.grad(
        weighted_sum(table, index, weight, start).square().sum(), table, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_columns_that_one_order_does_not_sort_are_refused():
    table, index, weight, start = case(0, 4, 6)
    index[:, 2] = index[:, 2].flip(0)
    index[:, 0] = torch.arange(6)
    with pytest.raises(ValueError, match="leaves another one unsorted"):
        weighted_sum(table, index, weight, start).sum().backward()

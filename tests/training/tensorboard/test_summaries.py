"""Summaries of small tensors and curves, worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.util.tensor_util import make_ndarray

from bev.training.module import gradient_norms
from bev.training.tensorboard.summaries import BINS, histogram, pr_curve


def counted(values: torch.Tensor) -> tuple[list[float], list[float], object]:
    """Upper limits and counts of a histogram, and the histogram."""
    (value,) = histogram("h", values).value
    return list(value.histo.bucket_limit), list(value.histo.bucket), value.histo


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40),
    st.integers(0, 3),
)
def test_a_histogram_counts_every_finite_value_in_its_bin(values, others):
    tensor = torch.tensor([*values, *[torch.nan, torch.inf, -torch.inf][:others]])
    limits, counts, about = counted(tensor)
    assert sum(counts) == about.num == len(values)
    assert (about.min, about.max) == (min(values), max(values))
    assert about.sum == pytest.approx(sum(values), rel=1e-4, abs=1.0)
    theirs, _ = np.histogram(values, np.linspace(min(values), max(values), BINS + 1))
    if min(values) < max(values) - 1:  # bins are wider than the rounding of float32
        assert np.abs(np.cumsum(counts) - np.cumsum(theirs)).max() <= 2
        assert limits[-1] == pytest.approx(max(values))


def test_a_histogram_of_equal_values_has_one_bin():
    assert counted(torch.full((3, 2), 0.5))[:2] == ([0.5], [6.0])
    assert not histogram("h", torch.tensor([torch.nan])).value


def test_a_curve_has_the_counts_at_each_threshold():
    """Four ground-truth boxes: one found with 0.9, a false one with 0.75, another found with 0.5.

    At recall 0.25 the precision is 1, at 0.5 it is 2/3; a recall of 0.75 is never reached.
    """
    curve = {
        "recall": [0.0, 0.25, 0.5, 0.75, 1.0],
        "precision": [1.0, 1.0, 2 / 3, 0.0, 0.0],
        "confidence": [0.955, 0.9, 0.5, 0.0, 0.0],
    }
    (value,) = pr_curve("car", curve, 4).value
    found = make_ndarray(value.tensor)
    expected = {0: (2, 1, 0, 2, 2 / 3, 0.5), 50: (2, 1, 0, 2, 2 / 3, 0.5),
                51: (1, 0, 0, 3, 1, 0.25), 90: (1, 0, 0, 3, 1, 0.25),
                95: (0, 0, 0, 4, 1, 0), 96: (0, 0, 0, 4, 0, 0)}  # fmt: skip
    for threshold, column in expected.items():
        assert found[:, threshold] == pytest.approx(column), threshold


def test_norms_of_parts_are_those_of_their_gradients():
    model = torch.nn.ModuleDict({n: torch.nn.Linear(2, 1, bias=False) for n in ("a", "b", "c")})
    model["a"].weight.grad = torch.tensor([[3.0, 0.0]])
    model["b"].weight.grad = torch.tensor([[0.0, 4.0]])
    assert {n: v.item() for n, v in gradient_norms(model).items()} == {"total": 5, "a": 3, "b": 4}
    assert gradient_norms(torch.nn.ModuleDict())["total"] == 0

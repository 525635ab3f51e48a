"""Depth bins: their edges, their centres, and the bin of a depth."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.errors import ConfigError
from bev.models import DepthBins

SPACINGS = ("uniform", "log", "linear")


@st.composite
def depth_bins(draw, spacings=SPACINGS):
    """Typical ranges and steps: multiples of an eighth of a metre."""
    step = draw(st.sampled_from([0.125, 0.25, 0.5, 1.0, 2.0]))
    lo = draw(st.integers(1, 80)) / 8
    return DepthBins(
        lo, lo + step * draw(st.integers(1, 160)), step, draw(st.sampled_from(spacings))
    )


@given(depth_bins())
def test_every_centre_lies_in_its_own_bin(bins):
    assert torch.equal(bins.index_of(bins.centers()), torch.arange(bins.bins))
    assert torch.equal(bins.index_of(bins.edges()[:-1]), torch.arange(bins.bins))


@given(depth_bins())
def test_edges_rise_from_lo_to_hi(bins):
    edges = bins.edges()
    assert len(edges) == bins.bins + 1
    assert bool((edges.diff() > 0).all())
    torch.testing.assert_close(edges[[0, -1]], torch.tensor([bins.lo, bins.hi]))
    widths = edges.diff().double()
    assert widths.mean().item() == pytest.approx(bins.step, rel=1e-5)


@given(depth_bins(), st.floats(0, 200, width=32))
def test_the_index_equals_a_search_over_edges(bins, depth):
    edges = bins.edges().tolist()
    inside = [i for i in range(bins.bins) if edges[i] <= depth < edges[i + 1]]
    assert bins.index_of(torch.tensor([depth])).tolist() == (inside or [-1])


@given(depth_bins(("uniform",)), st.floats(0, 200, width=32))
def test_uniform_bins_follow_their_arithmetic_to_the_bit(bins, depth):
    index = torch.arange(bins.bins)
    assert torch.equal(bins.centers(), bins.lo + (index + 0.5) * bins.step)
    assert torch.equal(bins.edges()[:-1], bins.lo + (index + 0.0) * bins.step)
    depth = torch.tensor(depth)
    if bins.lo <= depth < bins.hi:
        assert bins.index_of(depth) == torch.floor((depth - bins.lo) / bins.step)


def test_worked_bins():
    logarithmic = DepthBins(1.0, 16.0, 3.75, "log")  # 4 bins, each twice as wide as the last
    torch.testing.assert_close(logarithmic.edges(), torch.tensor([1.0, 2, 4, 8, 16]))
    root = math.sqrt(2)
    expected = torch.tensor([root, 2 * root, 4 * root, 8 * root])
    torch.testing.assert_close(logarithmic.centers(), expected)
    increasing = DepthBins(2.0, 12.0, 2.5, "linear")  # widths 1, 2, 3, 4
    torch.testing.assert_close(increasing.edges(), torch.tensor([2.0, 3, 5, 8, 12]))
    torch.testing.assert_close(increasing.centers(), torch.tensor([2.5, 4, 6.5, 10]))


def test_depths_outside_the_range_have_no_bin():
    depth = torch.tensor([[0.99, 1.0], [8.999, 9.0], [math.inf, math.nan]])
    for spacing in SPACINGS:
        found = DepthBins(1.0, 9.0, 2.0, spacing).index_of(depth)
        assert found.tolist() == [[-1, 0], [3, -1], [-1, -1]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1.0, 60.0, 0.7), "divides the range"),
        ((60.0, 1.0, 1.0), "lo < hi"),
        ((-1.0, 9.0, 1.0), "0 <= lo"),
        ((1.0, 9.0, 0.0), "positive step"),
        ((1.0, 9.0, -1.0), "positive step"),
        ((1.0, 9.0, 1e-310), "step that divides the range"),
        ((1.0, math.inf, 1.0), "lo < hi"),
        ((math.nan, 9.0, 1.0), "0 <= lo"),
        ((0.0, 8.0, 1.0, "log"), "cannot begin at lo = 0"),
    ],
)
def test_invalid_bins_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        DepthBins(*values)

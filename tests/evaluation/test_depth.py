"""Depth errors, compared with worked values."""

import pytest
import torch

from bev.evaluation.depth import DepthErrors, compare_depth
from bev.models import DepthBins

BINS = DepthBins(2.0, 8.0, 2.0)  # centres 3, 5, 7


def certain(*index):
    """Logits (1, 1, 1, n, 3) that are certain of these bins."""
    return 1000.0 * torch.nn.functional.one_hot(torch.tensor(index), 3).view(1, 1, 1, -1, 3)


def measured(*depth):
    return torch.tensor(depth).reshape(1, 1, 1, -1)


def test_errors_of_a_worked_case():
    # Predicted 3, 5, 7, lidar 4, 5, 6; cells without a point or out of range do not count.
    errors = compare_depth(
        certain(0, 1, 2, 0, 0, 0), measured(4.0, 5.0, 6.0, torch.inf, 1.9, 8.0), BINS
    )
    assert errors.cells == 3
    scalars = errors.scalars()
    assert scalars["depth_abs_rel"] == pytest.approx((1 / 4 + 0 + 1 / 6) / 3)
    assert scalars["depth_rmse"] == pytest.approx((2 / 3) ** 0.5)


def test_the_error_is_that_of_the_expected_depth():
    logits = torch.tensor([0.25, 0.25, 0.5]).log().reshape(1, 1, 1, 1, 3)  # expected depth 5.5 m
    assert compare_depth(logits, measured(5.0), BINS).scalars()["depth_rmse"] == pytest.approx(0.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = compare_depth(logits, measured(5.0), BINS)
    assert mixed.squared == pytest.approx(0.25)


def test_logarithmic_bins_use_their_own_centres():
    bins = DepthBins(1.0, 16.0, 3.75, "log")  # edges 1, 2, 4, 8, 16
    errors = compare_depth(torch.zeros(1, 1, 1, 1, 4), measured(9.0), bins)
    expected = 2**0.5 * (1 + 2 + 4 + 8) / 4
    assert errors.scalars()["depth_rmse"] == pytest.approx(9 - expected, rel=1e-5)


def test_errors_of_parts_add_up():
    logits, nearest = certain(0, 1, 2), measured(4.0, 4.5, 6.0)
    whole = compare_depth(logits, nearest, BINS)
    parts = [
        compare_depth(logits[..., part, :], nearest[..., part], BINS)
        for part in (slice(0, 1), slice(1, 3))
    ]
    assert sum(parts, DepthErrors()).scalars() == pytest.approx(whole.scalars())


def test_cells_without_lidar_give_no_metrics():
    assert compare_depth(certain(0), measured(torch.inf), BINS).scalars() == {}

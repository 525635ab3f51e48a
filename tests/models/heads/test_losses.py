"""Losses and their gradients, compared with worked cases and with formulas in float64."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bev.errors import ConfigError
from bev.models.heads.losses import HeatmapLoss, class_loss, focal_loss, gaussian_focal_loss

KINDS = [
    HeatmapLoss(),
    HeatmapLoss(focus=1.5, spare=3.0),
    HeatmapLoss(spare=0.0),
    HeatmapLoss("focal"),
    HeatmapLoss("focal", focus=0.5, balance=0.6),
    HeatmapLoss("bce"),
]


def published(loss, logit, target):
    """The loss of one cell, as in the papers."""
    p = 1 / (1 + math.exp(-logit))
    if loss.kind == "gaussian":
        if target == 1:
            return -((1 - p) ** loss.focus) * math.log(p)
        return -((1 - target) ** loss.spare) * p**loss.focus * math.log(1 - p)
    if loss.kind == "focal":
        p_t, alpha_t = (p, loss.balance) if target == 1 else (1 - p, 1 - loss.balance)
        return -alpha_t * (1 - p_t) ** loss.focus * math.log(p_t)
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


@pytest.fixture()
def heatmap():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    target = torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    return logits, torch.where(target > 0.8, 1.0, target.clamp(min=0.3) - 0.3)


@pytest.mark.parametrize("loss", KINDS, ids=str)
def test_heatmap_losses_and_their_gradients_equal_the_papers(loss, heatmap):
    logits, target = heatmap
    logits.requires_grad_()
    pairs = list(zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True))
    value = loss(logits, target)
    assert value.item() == pytest.approx(sum(published(loss, z, t) for z, t in pairs), rel=1e-10)
    (gradient,) = torch.autograd.grad(value, logits)
    step = 1e-5
    slopes = [
        (published(loss, z + step, t) - published(loss, z - step, t)) / (2 * step) for z, t in pairs
    ]
    np.testing.assert_allclose(gradient.flatten().numpy(), slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("loss", KINDS, ids=str)
def test_heatmap_losses_stay_finite_at_extreme_logits_and_in_half_precision(loss):
    logits = torch.tensor([[[[80.0, -80.0, 80.0, -80.0]]]], requires_grad=True)
    target = torch.tensor([[[[0.0, 1.0, 1.0, 0.5]]]])
    value = loss(logits, target)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()
    assert logits.grad[0, 0, 0, 0] >= 0 >= logits.grad[0, 0, 0, 1]
    assert loss(logits.bfloat16(), target).dtype == torch.float32


def test_the_gaussian_focal_loss_of_a_worked_case():
    # One centre at probability 0.5: 0.25 * ln 2. One empty cell at 0.5: 0.25 * ln 2. One cell near
    # a centre (target 0.5) at 0.5: times 0.5^4.
    logits, target = torch.zeros(1, 1, 1, 3), torch.tensor([[[[1.0, 0.0, 0.5]]]])
    expected = 0.25 * math.log(2) * (1 + 1 + 0.5**4)
    assert HeatmapLoss()(logits, target).item() == pytest.approx(expected, rel=1e-6)
    assert gaussian_focal_loss(logits, target, 2.0, 4.0).item() == pytest.approx(expected, rel=1e-6)


def test_without_focus_losses_are_cross_entropy(heatmap):
    logits, target = heatmap
    hard = (target == 1).double()
    half = focal_loss(logits, target == 1, gamma=0.0, alpha=0.5)
    entropy = F.binary_cross_entropy_with_logits(logits, hard, reduction="sum")
    torch.testing.assert_close(2 * half, entropy)
    torch.testing.assert_close(gaussian_focal_loss(logits, hard, 0.0, 4.0), entropy)
    classes, right = torch.randn(7, 5), torch.arange(7) % 5
    torch.testing.assert_close(
        class_loss(classes, right, "focal", focus=0.0), class_loss(classes, right, "ce")
    )


@pytest.mark.parametrize("kind", ["bce", "ce", "focal"])
def test_class_losses_and_their_gradients_equal_a_slow_version(kind):
    logits = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 1, 2, 3, 1, 1])

    def slow(values):
        total = 0.0
        for row, right in zip(values, target.tolist(), strict=True):
            p = np.exp(row) / np.exp(row).sum()
            focus = (1 - p[right]) ** 2 if kind == "focal" else 1.0
            total -= focus * np.log(p[right])
            if kind == "bce":
                total -= np.log(1 - np.delete(p, right)).sum()
        return total

    logits.requires_grad_()
    value = class_loss(logits, target, kind)
    plain = logits.detach().numpy()
    assert value.item() == pytest.approx(slow(plain), rel=1e-10)
    (gradient,) = torch.autograd.grad(value, logits)
    for place in np.ndindex(plain.shape):
        step = np.zeros_like(plain)
        step[place] = 1e-5
        slope = (slow(plain + step) - slow(plain - step)) / 2e-5
        assert gradient[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def test_wrong_settings_are_refused():
    for fields in ({"focus": -1.0}, {"spare": -1.0}, {"balance": 1.5}):
        with pytest.raises(ConfigError, match="HeatmapLoss"):
            HeatmapLoss(**fields)

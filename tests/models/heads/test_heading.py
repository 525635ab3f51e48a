"""Headings predicted by direction bins."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from specs import features, gt_batch, spec

from bev.data.nuscenes.classes import CLASSES
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D
from bev.models import CenterHeadConfig
from bev.models.heads.center.decode import DecodeConfig
from bev.models.heads.center.flip import flipped_directions
from bev.models.heads.center.loss import label_loss
from bev.models.heads.center.targets import bin_angle, direction_bin

GRID = BevGrid(x=(-8.0, 8.0, 1.0), y=(-4.0, 4.0, 1.0), z=(-5.0, 3.0, 8.0))
ANGLES = st.floats(-20, 20)


def test_eight_worked_direction_bins():
    degrees = torch.tensor([0.0, 22.0, 23.0, 90.0, -90.0, 180.0, -179.0, 540.0, -23.0])
    direction = direction_bin(torch.deg2rad(degrees), 8)
    assert direction.tolist() == [0, 0, 1, 2, 6, 4, 4, 4, 7]
    middle = torch.rad2deg(bin_angle(direction, 8))
    torch.testing.assert_close(middle, torch.tensor([0, 0, 45, 90, 270, 180, 180, 180, 315.0]))


@given(yaw=ANGLES, direction_bins=st.integers(1, 36))
def test_a_yaw_lies_within_half_a_bin_of_the_bins_middle(yaw, direction_bins):
    yaw = torch.tensor([yaw], dtype=torch.float64)
    direction = direction_bin(yaw, direction_bins)
    assert 0 <= direction < direction_bins
    turn = math.remainder(float(yaw - bin_angle(direction, direction_bins)), 2 * math.pi)
    assert abs(turn) <= math.pi / direction_bins + 1e-6


@given(yaw=ANGLES, direction_bins=st.integers(2, 36))
def test_a_mirrored_yaw_lies_in_the_flipped_direction_bin(yaw, direction_bins):
    yaw = torch.tensor([yaw], dtype=torch.float64)
    logits = torch.zeros(1, direction_bins, 1, 1)
    logits[0, direction_bin(yaw, direction_bins)] = 1.0
    seen = flipped_directions(logits).argmax(dim=1).item()
    # On the border between two direction bins either is correct.
    near = {direction_bin(-yaw + e, direction_bins).item() for e in (-1e-6, 1e-6)}
    assert seen in near
    assert torch.equal(flipped_directions(flipped_directions(logits)), logits)


def test_the_loss_of_a_worked_case():
    """Losses of -log(1/8) and -log(1/2)."""
    logits = torch.zeros(2, 8)
    logits[1, 3] = math.log(7)  # beside seven zeros: probability 1/2
    loss = label_loss(logits, torch.tensor([1, 3]), torch.tensor(2.0))
    assert loss.item() == pytest.approx((math.log(8) + math.log(2)) / 2, abs=1e-6)
    none = torch.zeros(0, 8, requires_grad=True)
    label_loss(none, torch.zeros(0, dtype=torch.long), torch.tensor(1e-4)).backward()
    assert none.grad is not None


def cars(degrees):
    """Cars in a row along x that differ only in their headings."""
    count = len(degrees)
    x = torch.arange(count) * 2.0 - 6.5
    return Boxes3D.make(
        torch.stack([x, torch.zeros(count), torch.zeros(count)], dim=1),
        torch.tensor([[2.0, 1.0, 1.5]]).expand(count, 3),
        torch.deg2rad(torch.tensor(degrees)),
        torch.zeros(count, 2),
        label=torch.zeros(count, dtype=torch.long),
    )


def trained(direction_bins, gt_boxes, bev):
    """A head trained on one scene."""
    torch.manual_seed(0)
    config = CenterHeadConfig(
        tasks=(CLASSES,), shared=32, branch=0, direction_bins=direction_bins,
        decode=DecodeConfig(nms="none", score=0.3),
    )  # fmt: skip
    head, batch = config.build(spec(bev.bev.shape[1], GRID)), gt_batch([gt_boxes])
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(200):
        terms = head.loss(head(bev), batch)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    return head


def test_a_head_learns_headings():
    gt_boxes = cars([6.0, 97.0, -166.0, -69.0, 138.0])
    bev = features(torch.randn(1, 8, 8, 16))
    head = trained(8, gt_boxes, bev)
    assert head.loss(head(bev), gt_batch([gt_boxes]))["direction"] < 0.02
    (found,) = head.decode(head(bev))
    found = found[found.center[:, 0].argsort()]
    assert torch.sin((found.yaw - gt_boxes.yaw) / 2).abs().max() < 0.05
    plain = CenterHeadConfig(tasks=(CLASSES,)).build(spec(8, GRID))
    assert not any("direction" in name for name in plain.state_dict())
    assert plain(bev)[0].direction.shape == (1, 0, 8, 16)


@pytest.mark.slow
def test_direction_bins_choose_one_of_several_headings_and_medians_none():
    """Three of seven cars head along x, two each 120 degrees to the sides, with equal features.

    The medians of sine and cosine are 0 and -1/2: backwards, where no car heads.
    """
    gt_boxes = cars([0.0, 120.0, -120.0, 0.0, 120.0, -120.0, 0.0])
    bev = features(torch.ones(1, 8, 8, 16))
    for direction_bins, expected in ((1, 180.0), (12, 0.0)):
        head = trained(direction_bins, gt_boxes, bev)
        with torch.no_grad():
            (output,) = head(bev)
        sine, cosine = output.heading[0, :, 4, 7]
        yaw = math.degrees(torch.atan2(sine, cosine))
        if direction_bins > 1:
            yaw += output.direction[0, :, 4, 7].argmax().item() * 360 / direction_bins
        assert math.remainder(yaw - expected, 360) == pytest.approx(0, abs=20)


@pytest.mark.parametrize(("key", "value"), [("direction_bins", 0), ("direction_weight", 0.0)])
def test_invalid_settings_are_refused(key, value):
    with pytest.raises(ConfigError, match=key):
        CenterHeadConfig(**{key: value})

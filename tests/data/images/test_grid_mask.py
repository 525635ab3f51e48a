"""GridMask: the exact pixels that it hides, repeatability, and unchanged other pixels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.data.images.grid_mask import GridMask, hide_squares, lattice
from bev.errors import ConfigError

MEAN = torch.tensor([124, 116, 104], dtype=torch.uint8)


def test_the_lattice_of_a_worked_case():
    # Period 4, ratio 0.5: squares of 2 pixels from row 1 and columns -1 and 3.
    hidden = lattice((6, 8), 4, 0.5, (1, 3))
    row = [True, False, False, True, True, False, False, True]
    assert hidden.tolist() == [[False] * 8, row, row, [False] * 8, [False] * 8, row]


@given(st.integers(2, 12), st.floats(0.05, 0.95), st.integers(0, 11), st.integers(0, 11))
def test_every_period_hides_one_square(period, ratio, row, column):
    """The hidden share is 1 - (2 ratio - ratio^2), up to rounding; each pixel is checked."""
    offset = (row % period, column % period)
    hidden = lattice((2 * period, 3 * period), period, ratio, offset)
    side = round(period * (1 - ratio))
    assert hidden.sum() == 6 * side**2
    for y in range(2 * period):
        for x in range(3 * period):
            inside = (y - offset[0]) % period < side and (x - offset[1]) % period < side
            assert hidden[y, x] == inside
    assert side == pytest.approx(period * (1 - ratio), abs=0.5)


def test_hidden_pixels_are_the_mean_and_no_others_change():
    images = torch.randint(0, 100, (4, 3, 32, 48), dtype=torch.uint8)
    before = images.clone()
    config = GridMask(probability=1.0, ratio=0.6, period=(8, 16))
    masked = hide_squares(images, config, [1, 2, 3, 4])
    assert torch.equal(images, before)
    hidden = (masked == MEAN.view(3, 1, 1)).all(dim=1)
    shown = ~hidden.unsqueeze(1).expand_as(images)
    assert torch.equal(masked[shown], images[shown])
    assert hidden.flatten(1).any(dim=1).all() and not hidden.flatten(1).all(dim=1).any()
    assert not torch.equal(hidden[0], hidden[1])  # each image has its own mask
    again = hide_squares(images[2:3], config, [3])
    assert torch.equal(again[0], masked[2])


def test_the_probability_applies_per_image_and_the_default_is_off():
    images = torch.zeros(400, 3, 8, 8, dtype=torch.uint8)
    assert hide_squares(images, GridMask(), range(400)) is images
    masked = hide_squares(images, GridMask(probability=0.7, period=(4, 8)), range(400))
    share = masked.flatten(1).any(dim=1).double().mean().item()
    assert share == pytest.approx(0.7, abs=0.07)  # three standard deviations


def test_drawn_periods_cover_the_configured_range():
    images = torch.zeros(200, 3, 1, 40, dtype=torch.uint8)
    config = GridMask(probability=1.0, ratio=0.5, period=(4, 6))
    masked = hide_squares(images, config, range(200))[:, 0, 0] > 0
    seen = set()
    for row in masked[masked.any(dim=1)]:
        starts = (row[1:] & ~row[:-1]).nonzero().flatten()
        seen |= set(starts.diff().tolist())
    assert seen == {4, 5, 6}


@pytest.mark.parametrize(
    "fields",
    [{"probability": 1.5}, {"ratio": 0.0}, {"ratio": 1.0}, {"period": (1, 8)}, {"period": (9, 8)}],
)
def test_wrong_settings_are_refused(fields):
    with pytest.raises(ConfigError, match="GridMask"):
        GridMask(**fields)

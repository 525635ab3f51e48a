"""BEVDepth's BEV encoder: output resolution, gradients, and widths that it refuses."""

import pytest
import torch

from bev.errors import ConfigError
from bev.models import SECONDEncoderConfig

SMALL = SECONDEncoderConfig(stages=(8, 16, 24), blocks=2, channels=16)


def test_the_output_has_the_grids_resolution_and_every_parameter_learns():
    encoder = SMALL.build(6)
    bev = torch.randn(2, 6, 24, 40)
    encoded = encoder(bev)
    assert encoded.shape == (2, encoder.channels, 24, 40) == (2, 16, 24, 40)
    encoded.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


def test_a_grid_cell_changes_its_own_level_only_at_its_position():
    encoder = SMALL.build(6).eval()
    bev = torch.randn(1, 6, 24, 40)
    moved = bev.clone()
    moved[0, :, 17, 5] += 1
    changed = (encoder(moved) != encoder(bev))[0, :4].any(dim=0).nonzero()
    assert changed.tolist() == [[17, 5]]


def test_a_width_that_is_not_divisible_by_the_levels_is_refused():
    with pytest.raises(ConfigError, match="encoder.channels = 130 must be a multiple of 4"):
        SECONDEncoderConfig(channels=130)

"""BEVDepth's BEV encoder: levels back at the grid, published sizes, gradients everywhere."""

import pytest
import torch

from bev.errors import ConfigError
from bev.models import SECONDEncoderConfig

SMALL = SECONDEncoderConfig(stages=(8, 16, 24), blocks=2, channels=16)


def test_the_result_has_the_grids_resolution_and_every_parameter_learns():
    encoder = SMALL.build(6)
    bev = torch.randn(2, 6, 24, 40)
    encoded = encoder(bev)
    assert encoded.shape == (2, encoder.channels, 24, 40) == (2, 16, 24, 40)
    encoded.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in encoder.parameters())


def test_a_cell_of_the_grid_reaches_its_own_level_at_its_own_place():
    encoder = SMALL.build(6).eval()
    bev = torch.randn(1, 6, 24, 40)
    moved = bev.clone()
    moved[0, :, 17, 5] += 1
    changed = (encoder(moved) != encoder(bev))[0, :4].any(dim=0).nonzero()
    assert changed.tolist() == [[17, 5]]


def test_a_width_that_levels_cannot_share_equally_is_refused():
    with pytest.raises(ConfigError, match="encoder.channels = 130 must be a multiple of 4"):
        SECONDEncoderConfig(channels=130)

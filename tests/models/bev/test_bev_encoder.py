"""The BEV encoder: its output resolution, and the skip connection."""

import pytest
import torch

from bev.models import BevEncoderConfig

CONFIG = {"stages": (8, 8, 8), "blocks": 1, "neck": 8, "channels": 4}


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("size", [(16, 24), (20, 13)])
def test_the_output_has_the_grids_resolution(skip, size):
    encoder = BevEncoderConfig(**CONFIG, skip=skip).build(6)
    assert encoder(torch.randn(2, 6, *size)).shape == (2, 4, *size)


def test_only_a_skip_preserves_single_cells():
    """With zeroed stages, a cell reaches only its direct neighbours, and only by the skip."""
    torch.manual_seed(0)
    bev, other = torch.randn(1, 6, 16, 16), torch.zeros(1, 6, 16, 16)
    other[..., 7, 9] = 1.0
    for skip in (False, True):
        encoder = BevEncoderConfig(**CONFIG, skip=skip).build(6).eval()
        with torch.no_grad():
            for parameter in encoder.stages.parameters():
                parameter.zero_()
            changed = (encoder(bev + other) != encoder(bev)).any(dim=1)[0]
        expected = torch.zeros(16, 16, dtype=torch.bool)
        expected[6:9, 8:11] = skip
        assert torch.equal(changed, expected)


def test_a_skip_only_widens_the_last_convolution():
    def shapes(skip):
        encoder = BevEncoderConfig(**CONFIG, skip=skip).build(6)
        return {name: tuple(value.shape) for name, value in encoder.named_parameters()}

    plain, joined = shapes(False), shapes(True)
    differing = {name: (plain[name], joined[name]) for name in plain if plain[name] != joined[name]}
    assert plain.keys() == joined.keys()
    assert differing == {"output.0.0.weight": ((4, 8, 3, 3), (4, 14, 3, 3))}

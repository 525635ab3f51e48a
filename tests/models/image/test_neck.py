"""Necks: output stride and channels, use of every level, and the published size."""

import pytest
import torch

from bev.errors import ConfigError
from bev.models import FpnConfig, SECONDFPNConfig

CHANNELS, STRIDES = (4, 8, 16, 32), (4, 8, 16, 32)


def levels(height=64, width=96):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, c, height // s, width // s, generator=generator)
        for c, s in zip(CHANNELS, STRIDES, strict=True)
    ]


@pytest.mark.parametrize(
    ("config", "stride", "channels"),
    [(FpnConfig(12), 4, 12), (SECONDFPNConfig(6, 16), 16, 24), (SECONDFPNConfig(6, 8), 8, 24)],
)
def test_the_output_has_the_stride_and_channels_of_the_neck(config, stride, channels):
    neck = config.build(CHANNELS, STRIDES)
    assert (neck.stride, neck.channels) == (stride, channels)
    assert neck(levels()).shape == (2, channels, 64 // stride, 96 // stride)


def test_each_level_fills_its_own_channels_at_its_position():
    """A change in one cell of one level changes that level's channels there, and nothing else."""
    neck = SECONDFPNConfig(6, 16).build(CHANNELS, STRIDES).eval()
    before = levels()
    whole = neck(before)
    for number, stride in enumerate(STRIDES):
        after = [level.clone() for level in before]
        after[number][0, :, 32 // stride, 48 // stride] += 5.0
        changed = (neck(after) != whole).any(dim=0)
        assert changed[6 * number : 6 * number + 6, 2, 3].any()
        changed[6 * number : 6 * number + 6, 2 : 2 + max(stride // 16, 1)] = False
        assert not changed.any()


def test_levels_of_a_backbone_without_padding_are_fitted():
    neck = SECONDFPNConfig(6, 16).build(CHANNELS, STRIDES)
    uneven = [level[..., : level.shape[-1] - 1] for level in levels()]
    assert neck(uneven).shape == (2, 24, 4, 5)


def test_a_stride_that_no_level_has_is_refused():
    with pytest.raises(ConfigError, match=r"neck.stride = 16 is none of .*: \(4, 8\)"):
        SECONDFPNConfig(6, 16).build((4, 8), (4, 8))


def test_the_number_of_parameters_of_bevdepths_neck():
    """Kernels 4x4, 2x2, 1x1 and 2x2 from ResNet-50's stages to 128 channels each, and norms."""
    neck = SECONDFPNConfig().build((256, 512, 1024, 2048), STRIDES)
    kernels = 128 * (256 * 16 + 512 * 4 + 1024 * 1 + 2048 * 4)
    assert sum(p.numel() for p in neck.parameters()) == kernels + 4 * 2 * 128

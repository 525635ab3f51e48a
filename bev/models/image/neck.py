"""Feature pyramids: a backbone's levels to one map.

Top-down (BEVDet), side by side (BEVDepth), or joined and then mixed (Lift-Splat-Shoot).

Each keeps only what it returns, so every parameter has a gradient (DDP asks for that).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.errors import ConfigError
from bev.models.layers import conv_bn_relu


@dataclass(frozen=True)
class NeckConfig:
    """Common base of the necks' settings."""

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> nn.Module:
        """Build over levels of these widths and strides (pixels), finest first.

        The module takes the levels, (M, C_i, h_i, w_i), and returns (M, C, h, w); it has
        ``channels`` and ``stride``, those of its result.
        """
        raise TypeError(f"{type(self).__name__} does not say what it builds.")


@dataclass(frozen=True)
class FpnConfig(NeckConfig):
    """Settings of :class:`Fpn`: the width of all levels."""

    channels: int = 512

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> "Fpn":
        return Fpn(self, channels, strides)


class Fpn(nn.Module):
    """Levels from the deepest up, each added to the next finer one; the finest is returned.

    After Lin et al., Feature Pyramid Networks (2017). The output convolution stands on the level
    that is used and nowhere else.
    """

    def __init__(self, config: FpnConfig, channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.channels, self.stride = config.channels, strides[0]
        self.lateral = nn.ModuleList(nn.Conv2d(c, config.channels, 1) for c in channels)
        self.output = nn.Conv2d(config.channels, config.channels, 3, padding=1)

    def forward(self, levels: list[Float[Tensor, "M _ _ _"]]) -> Float[Tensor, "M C h w"]:
        merged = self.lateral[-1](levels[-1])
        for lateral, level in zip(reversed(self.lateral[:-1]), reversed(levels[:-1]), strict=True):
            merged = lateral(level) + F.interpolate(merged, size=level.shape[-2:])
        return self.output(merged)


@dataclass(frozen=True)
class SECONDFPNConfig(NeckConfig):
    """Settings of :class:`SECONDFPN`.

    Attributes:
        channels: width that each level is brought to; the result has all of them.
        stride: of the result, pixels; one of the levels must have it.
        eps: of the batch norms; 1e-3 as published with SECOND and BEVDepth.
    """

    channels: int = 128
    stride: int = 16
    eps: float = 1e-5

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> "SECONDFPN":
        return SECONDFPN(self, channels, strides)


class SECONDFPN(nn.Module):
    """Every level brought to one resolution by a (transposed) convolution, and joined.

    After Yan et al., SECOND (2018), as BEVDepth (Li et al. 2022) has it over all four stages. The
    kernel is as large as the step, so nothing overlaps.

    Raises:
        ConfigError: where no level has the result's stride.
    """

    def __init__(
        self, config: SECONDFPNConfig, channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        if config.stride not in strides:
            raise ConfigError(
                f"neck.stride = {config.stride} is none of the backbone's: {tuple(strides)}."
            )
        self.channels, self.stride = config.channels * len(channels), config.stride
        self.reference = list(strides).index(config.stride)
        self.levels = nn.ModuleList(
            _resized(inputs, config.channels, config.stride / stride, config.eps)
            for inputs, stride in zip(channels, strides, strict=True)
        )

    def forward(self, levels: list[Float[Tensor, "M _ _ _"]]) -> Float[Tensor, "M C h w"]:
        size = levels[self.reference].shape[-2:]
        maps = [layer(level) for layer, level in zip(self.levels, levels, strict=True)]
        # Backbones that do not pad have levels that are a cell larger or smaller.
        fitted = [m if m.shape[-2:] == size else F.interpolate(m, size=size) for m in maps]
        return torch.cat(fitted, dim=1)


@dataclass(frozen=True)
class ConcatNeckConfig(NeckConfig):
    """Settings of :class:`ConcatNeck`: the width of both convolutions."""

    channels: int = 512

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> "ConcatNeck":
        return ConcatNeck(self, channels, strides)


class ConcatNeck(nn.Module):
    """Every level brought to the finest one's size, joined, and mixed by two 3x3 convolutions.

    As Lift-Splat-Shoot (Philion and Fidler 2020) joins the last two levels of its EfficientNet.
    """

    def __init__(
        self, config: ConcatNeckConfig, channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        self.channels, self.stride = config.channels, strides[0]
        self.mix = nn.Sequential(
            conv_bn_relu(sum(channels), config.channels),
            conv_bn_relu(config.channels, config.channels),
        )

    def forward(self, levels: list[Float[Tensor, "M _ _ _"]]) -> Float[Tensor, "M C h w"]:
        size = levels[0].shape[-2:]
        coarse = [
            F.interpolate(level, size=size, mode="bilinear", align_corners=True)
            for level in levels[1:]
        ]
        return self.mix(torch.cat([levels[0], *coarse], dim=1))


def _resized(inputs: int, outputs: int, factor: float, eps: float) -> nn.Sequential:
    """To ``factor`` times the level's stride: a convolution that shrinks, or one that grows it."""
    shrink, grow = max(round(factor), 1), max(round(1 / factor), 1)
    if grow > 1:
        layer: nn.Module = nn.ConvTranspose2d(inputs, outputs, grow, grow, bias=False)
    else:
        layer = nn.Conv2d(inputs, outputs, shrink, shrink, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs, eps), nn.ReLU(inplace=True))

"""Necks: fusion of the feature maps of a backbone into one.

There are a top-down FPN (BEVDet), SECONDFPN (BEVDepth), and concatenation followed by convolutions
(Lift-Splat-Shoot). Necks have no layers for outputs that are not returned, so every parameter has a
gradient, as DDP requires.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.bounds import Count, Positive
from bev.errors import ConfigError
from bev.models.layers import conv_bn_relu


@dataclass(frozen=True)
class NeckConfig:
    """Base class of the settings of necks."""

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> "Neck":
        """Build the neck for levels with these channels and strides (pixels), finest first."""
        raise TypeError(f"{type(self).__name__} does not define the method build.")


class Neck(nn.Module):
    """Base class of necks: levels (M, C_i, h_i, w_i) to one feature map (M, C, h, w).

    Attributes:
        channels: output channels C.
        stride: stride of the output, pixels per cell.
    """

    channels: int
    stride: int


@dataclass(frozen=True)
class FpnConfig(NeckConfig):
    """Settings of :class:`Fpn`.

    Attributes:
        channels: channels of all levels.
    """

    channels: Count = 512

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> "Fpn":
        return Fpn(self, channels, strides)


class Fpn(Neck):
    """Feature pyramid network that returns the finest level.

    After Lin et al., Feature Pyramid Networks (2017). From the coarsest level on, each level is
    upsampled and added to the next finer one. Only the finest level has an output convolution.
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
        channels: channels of each level before the concatenation.
        stride: stride of the output, pixels; must be the stride of one of the levels.
        eps: epsilon of the batch norms; 1e-3 as published with SECOND and BEVDepth.
    """

    channels: Count = 128
    stride: Count = 16
    eps: Positive = 1e-5

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> "SECONDFPN":
        return SECONDFPN(self, channels, strides)


class SECONDFPN(Neck):
    """Levels resized to one resolution by (transposed) convolutions, and concatenated.

    After Yan et al., SECOND (2018), over all four stages as in BEVDepth (Li et al. 2022). The
    kernel size of each convolution equals its stride, so that nothing overlaps.

    Raises:
        ConfigError: if no level has the output stride.
    """

    def __init__(
        self, config: SECONDFPNConfig, channels: Sequence[int], strides: Sequence[int]
    ) -> None:
        super().__init__()
        if config.stride not in strides:
            raise ConfigError(
                f"neck.stride = {config.stride} is none of the strides of the backbone:"
                f" {tuple(strides)}."
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
        # Levels of backbones that do not pad may be a cell larger or smaller.
        fitted = [m if m.shape[-2:] == size else F.interpolate(m, size=size) for m in maps]
        return torch.cat(fitted, dim=1)


@dataclass(frozen=True)
class ConcatNeckConfig(NeckConfig):
    """Settings of :class:`ConcatNeck`.

    Attributes:
        channels: channels of both convolutions.
    """

    channels: Count = 512

    def build(self, channels: Sequence[int], strides: Sequence[int]) -> "ConcatNeck":
        return ConcatNeck(self, channels, strides)


class ConcatNeck(Neck):
    """Levels upsampled to the finest one, concatenated, and fused by two 3x3 convolutions.

    As Lift-Splat-Shoot (Philion and Fidler 2020) fuses the last two levels of its EfficientNet.
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
    """Downsampling by ``factor``, or upsampling if it is less than 1, with batch norm and ReLU."""
    shrink, grow = max(round(factor), 1), max(round(1 / factor), 1)
    if grow > 1:
        layer: nn.Module = nn.ConvTranspose2d(inputs, outputs, grow, grow, bias=False)
    else:
        layer = nn.Conv2d(inputs, outputs, shrink, shrink, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs, eps), nn.ReLU(inplace=True))

"""BEV encoder: residual stages over the grid, and a neck back to full grid resolution.

The architecture is that of BEVDet (Huang et al. 2021, section 3.1): three stages of basic blocks at
strides 2, 4 and 8; the output of the last stage is upsampled and concatenated with that of the
first, then upsampled to the grid. Small objects cover only a cell or two at the first stage's
stride of 2, so ``skip`` additionally concatenates the input grid before the last convolutions, as
U-Net does (Ronneberger et al. 2015).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.bounds import Count, Widths
from bev.models.layers import BasicBlock, conv_bn_relu
from bev.models.recompute import blocks, recompute


@dataclass(frozen=True)
class BevEncoderConfig:
    """Settings of :class:`BevEncoder`.

    Attributes:
        stages: channels of each residual stage; each stage halves the resolution.
        blocks: number of basic blocks per stage.
        neck: channels after the concatenation, at the resolution of the first stage.
        channels: output channels.
        skip: concatenate the input to the features before the last convolutions.
        checkpointing: recompute activations in the backward pass instead of storing them.
    """

    stages: Widths = (160, 320, 640)
    blocks: Count = 2
    neck: Count = 512
    channels: Count = 256
    skip: bool = False
    checkpointing: bool = False

    def build(self, in_channels: int) -> "BevEncoderBase":
        """Build the encoder for BEV features with ``in_channels`` channels."""
        return BevEncoder(self, in_channels)


class BevEncoderBase(nn.Module):
    """Base class of BEV encoders: (B, C, Y, X) to (B, channels, Y, X).

    Attributes:
        channels: output channels.
    """

    channels: int


class BevEncoder(BevEncoderBase):
    """Residual stages with a neck: (B, C, Y, X) to (B, channels, Y, X)."""

    def __init__(self, config: BevEncoderConfig, in_channels: int) -> None:
        super().__init__()
        self.channels, self.skip = config.channels, config.skip
        self.stages = nn.ModuleList()
        width = in_channels
        for stage in config.stages:
            first = BasicBlock(width, stage, stride=2)
            rest = [BasicBlock(stage, stage) for _ in range(config.blocks - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            width = stage
        joined = config.stages[0] + config.stages[-1]
        self.join = nn.Sequential(
            conv_bn_relu(joined, config.neck), conv_bn_relu(config.neck, config.neck)
        )
        fine = config.neck + config.skip * in_channels
        self.output = nn.Sequential(
            conv_bn_relu(fine, config.channels),
            nn.Conv2d(config.channels, config.channels, 1),
        )
        if config.checkpointing:
            recompute([*blocks(self.stages), self.join, self.output])

    def forward(self, bev: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B C2 Y X"]:
        levels = []
        features = bev
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        coarse = _resize(levels[-1], levels[0].shape[-2:])
        joined = self.join(torch.cat([coarse, levels[0]], dim=1))
        fine = _resize(joined, bev.shape[-2:])
        return self.output(torch.cat([fine, bev], dim=1) if self.skip else fine)


def _resize(x: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)

"""The BEV encoder: residual stages over the grid, and a neck back to full grid resolution.

The layout is BEVDet's (Huang et al. 2021, section 3.1): three stages of basic blocks at strides 2,
4 and 8; the last one upsampled and joined with the first, then upsampled to the grid. There, small
objects are a cell or two of what the first stage has halved: ``skip`` gives the last convolutions
the grid itself too, as U-Net does (Ronneberger et al. 2015).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.models.layers import BasicBlock, conv_bn_relu
from bev.models.recompute import blocks, recompute


@dataclass(frozen=True)
class BevEncoderConfig:
    """Settings of :class:`BevEncoder`.

    Attributes:
        stages: width of each residual stage; each halves the resolution.
        blocks: basic blocks a stage.
        neck: width at the first stage's resolution after joining.
        channels: width of the result.
        skip: join the input to what the last convolutions see.
        checkpointing: compute activations again in the backward pass instead of keeping them.
    """

    stages: tuple[int, ...] = (160, 320, 640)
    blocks: int = 2
    neck: int = 512
    channels: int = 256
    skip: bool = False
    checkpointing: bool = False

    def build(self, in_channels: int) -> "BevEncoder":
        """Build for a grid of this many channels."""
        return BevEncoder(self, in_channels)


class BevEncoder(nn.Module):
    """(B, C, Y, X) to (B, channels, Y, X)."""

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

"""Temporal fusion: concatenation of the BEV features of the current and the adjacent frames.

After Huang and Huang, BEVDet4D (2022), section 3.2: the features of all frames are concatenated
before the BEV encoder. BEVDet4D warps past BEV features on the grid; here, the image features of
each adjacent frame are lifted directly into the BEV frame of the sample, so nothing is resampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bev.bounds import Natural, check_bounds
from bev.models.layers import BasicBlock


@dataclass(frozen=True)
class TemporalConfig:
    """Settings of :class:`TemporalJoin`.

    Attributes:
        num_adjacent: number of adjacent frames that are fused with the current frame; must equal
            the number of adjacent frames in the data (``data.adjacent``). 0 disables temporal
            fusion.
        blocks: residual blocks applied to the features of each frame before the concatenation, with
            weights shared among frames (the additional encoder of BEVDet4D).
        projection: put a 3x3 convolution on the shortcut of the first of these blocks, as in the
            code of BEVDet4D; otherwise it is the identity.
        gradient: backpropagate through the adjacent frames too; off saves memory, as published.
        times: input the time of each adjacent frame to the network; off as published.
    """

    num_adjacent: Natural = 0
    blocks: Natural = 0
    gradient: bool = False
    times: bool = True
    projection: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, "model.temporal")

    @property
    def described(self) -> str:
        """Description of the adjacent frames for reports."""
        return f"{self.num_adjacent} adjacent frames{'' if self.times else ' without their times'}"

    def layout(self, channels: int) -> list[tuple[str, int, int]]:
        """Meaning of each output channel: ("features" or "time", frame number, channel).

        Args:
            channels: channels of one frame; frame 0 is the current frame.
        """
        maps = [("features", t, c) for t in range(self.num_adjacent + 1) for c in range(channels)]
        return maps + [("time", t, 0) for t in range(1, self.num_adjacent + 1) if self.times]

    def build(self, channels: int) -> "TemporalJoin":
        """Build the module for BEV features with ``channels`` channels."""
        return TemporalJoin(self, channels)


class TemporalJoin(nn.Module):
    """Concatenation of T + 1 BEV feature maps (B, C, Y, X) into (B, (T + 1) C + T, Y, X).

    Each adjacent frame contributes its features and one constant plane with its time (seconds
    relative to the sample), so that the network can convert displacements to velocities if frames
    are not equally spaced. The T time planes are absent if ``times`` is off.

    Attributes:
        channels: output channels.
        left_out: leave the adjacent frames out in training, see ``StageConfig.adjacent``.
    """

    def __init__(self, config: TemporalConfig, channels: int) -> None:
        super().__init__()
        blocks = config.blocks if config.num_adjacent else 0
        self.encode = nn.Sequential(
            *(
                BasicBlock(channels, channels, projection=config.projection and number == 0)
                for number in range(blocks)
            )
        )
        self.times, self.num_adjacent = config.times, config.num_adjacent
        self.left_out = False
        self.channels = len(config.layout(channels))

    def forward(
        self,
        bev: Float[Tensor, "B C Y X"],
        adjacent: Sequence[Float[Tensor, "B C Y X"]],
        seconds: Sequence[Float[Tensor, " B"]],
    ) -> Float[Tensor, "B C2 Y X"]:
        """Concatenate; the features of adjacent frames that are left out are zero."""
        if not self.num_adjacent:
            return bev
        maps = [self.encode(features) for features in (bev, *adjacent)]
        maps += (self.num_adjacent - len(adjacent)) * [torch.zeros_like(maps[0])]
        if not self.times:
            return torch.cat(maps, dim=1)
        planes = [time.to(bev.dtype).view(-1, 1, 1, 1).expand_as(bev[:, :1]) for time in seconds]
        # The memory format of one-channel planes is ambiguous, and cat would pick the format that
        # the convolutions would have to copy.
        return torch.cat([*maps, *planes], dim=1).contiguous(memory_format=torch.channels_last)

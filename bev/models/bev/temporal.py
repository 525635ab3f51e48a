"""Several times in one BEV: features of adjacent frames, lifted into the sample's frame and joined.

After Huang and Huang, BEVDet4D (2022), section 3.2: the features of the times are concatenated
before the BEV encoder. There, past features are warped on the grid; here, each time's image
features are lifted straight into the sample's BEV frame, so nothing is resampled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bev.errors import ConfigError
from bev.models.layers import BasicBlock


@dataclass(frozen=True)
class TemporalConfig:
    """Settings of :class:`TemporalJoin`.

    Attributes:
        num_adjacent: adjacent frames that are joined with the sample's own, as many as the data bring
            (``data.adjacent``); 0 is a network of one time.
        blocks: residual blocks that the features of each time pass before they are joined, with the
            same weights at all times (BEVDet4D's additional encoder).
        gradient: train through the adjacent frames too; off saves memory, as published.
        times: tell the network each adjacent frame's time; published networks are not told.
    """

    num_adjacent: int = 0
    blocks: int = 0
    gradient: bool = False
    times: bool = True

    def __post_init__(self) -> None:
        if self.num_adjacent < 0 or self.blocks < 0:
            raise ConfigError(f"model.temporal = {self} needs counts of at least 0.")

    @property
    def described(self) -> str:
        """How many frames are joined, in words."""
        return f"{self.num_adjacent} adjacent frames{'' if self.times else ' without their times'}"

    def layout(self, channels: int) -> list[tuple[str, int, int]]:
        """What each channel of the join is: ("features" or "time", number of the frame, channel).

        Args:
            channels: of one time; frame 0 is the sample's own.
        """
        maps = [("features", t, c) for t in range(self.num_adjacent + 1) for c in range(channels)]
        return maps + [("time", t, 0) for t in range(1, self.num_adjacent + 1) if self.times]

    def build(self, channels: int) -> "TemporalJoin":
        """Build for BEV features of this width."""
        return TemporalJoin(self, channels)


class TemporalJoin(nn.Module):
    """BEV features of T + 1 times to one tensor: (B, C, Y, X) each to (B, (T + 1) C + T, Y, X).

    Beside its features, each adjacent time has a plane that holds its time (seconds since the
    sample), so that a displacement can become a velocity where frames are not equally far apart.
    With ``times`` off there are no such T planes.

    Attributes:
        channels: of the result.
    """

    def __init__(self, config: TemporalConfig, channels: int) -> None:
        super().__init__()
        blocks = config.blocks if config.num_adjacent else 0
        self.encode = nn.Sequential(*(BasicBlock(channels, channels) for _ in range(blocks)))
        self.times = config.times
        self.channels = len(config.layout(channels))

    def forward(
        self,
        bev: Float[Tensor, "B C Y X"],
        adjacent: Sequence[Float[Tensor, "B C Y X"]],
        seconds: Sequence[Float[Tensor, " B"]],
    ) -> Float[Tensor, "B C2 Y X"]:
        if not adjacent:
            return bev
        maps = [self.encode(features) for features in (bev, *adjacent)]
        if not self.times:
            return torch.cat(maps, dim=1)
        planes = [time.to(bev.dtype).view(-1, 1, 1, 1).expand_as(bev[:, :1]) for time in seconds]
        # Planes lie in memory either way, and cat takes the wrong one: convolutions would copy.
        return torch.cat([*maps, *planes], dim=1).contiguous(memory_format=torch.channels_last)

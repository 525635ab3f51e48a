"""A top-down feature pyramid that returns its finest level only.

After Lin et al., Feature Pyramid Networks (2017). The output convolution stands on the level that
is used and nowhere else, so every parameter has a gradient (DDP asks for that).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class FpnConfig:
    """Settings of :class:`Fpn`: the width of all levels."""

    channels: int = 512

    def build(self, in_channels: Sequence[int]) -> "Fpn":
        """A pyramid over levels of these widths, finest first."""
        return Fpn(self, in_channels)


class Fpn(nn.Module):
    """Levels, finest first, to one map at the finest level's resolution."""

    def __init__(self, config: FpnConfig, in_channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = config.channels
        self.lateral = nn.ModuleList(nn.Conv2d(c, config.channels, 1) for c in in_channels)
        self.output = nn.Conv2d(config.channels, config.channels, 3, padding=1)

    def forward(self, levels: list[Float[Tensor, "M _ _ _"]]) -> Float[Tensor, "M C h w"]:
        merged = self.lateral[-1](levels[-1])
        for lateral, level in zip(reversed(self.lateral[:-1]), reversed(levels[:-1]), strict=True):
            merged = lateral(level) + F.interpolate(merged, size=level.shape[-2:])
        return self.output(merged)

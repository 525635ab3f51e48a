"""BEV segmentation: for each layer, the logit that a cell's centre lies inside one of its areas.

After Philion and Fidler, Lift, Splat, Shoot (2020), section 4: every layer is told apart from the
rest by itself, since areas overlap. The truth is made of the batch's outlines, on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.data.nuscenes.classes import LAYERS
from bev.errors import ConfigError, DataError
from bev.geometry import BevGrid, Outlines, covered
from bev.models.layers import conv_bn_relu


@dataclass(frozen=True)
class SegmentationHeadConfig:
    """Settings of :class:`SegmentationHead`.

    Attributes:
        layers: what is told, of ``bev.data.nuscenes.classes.LAYERS``; empty for no segmentation.
        hidden: width of a hidden 3x3 convolution; 0 reads the logits straight from the features, as
            published.
        loss: "bce", or "focal" (Lin et al. 2017) with alpha 0.25 and gamma 2; mean over all cells.
        positive_weight: of covered cells in "bce"; 2.13 as published by Lift-Splat-Shoot.
        weight: of the loss of each layer, in their order; one weight stands for all.
        least_visibility: boxes of a known nuScenes visibility level below this are no truth: 1
            takes all, 2 those seen to more than 40 %. Evaluation gives both.
    """

    layers: tuple[str, ...] = ()
    hidden: int = 0
    loss: Literal["bce", "focal"] = "bce"
    positive_weight: float = 2.13
    weight: tuple[float, ...] = (1.0,)
    least_visibility: int = 1

    def __post_init__(self) -> None:
        for name in self.layers:
            if name not in LAYERS or self.layers.count(name) > 1:
                why = "unknown" if name not in LAYERS else "named twice"
                raise ConfigError(f"model.segmentation.layers: {name!r} is {why}; known: {LAYERS}.")
        if len(self.weight) not in (1, len(self.layers)):
            raise ConfigError(
                f"model.segmentation.weight has {len(self.weight)} numbers for {len(self.layers)}"
                " layers; give one for each, or one for all."
            )
        if self.least_visibility not in (1, 2):
            raise ConfigError(
                f"model.segmentation.least_visibility is {self.least_visibility}; give 1 for all"
                " vehicles, or 2 for those seen to more than 40 %."
            )

    def build(self, in_channels: int, grid: BevGrid) -> "SegmentationHead":
        """Build for BEV features of this width."""
        return SegmentationHead(self, in_channels, grid)


class SegmentationHead(nn.Module):
    """BEV features to logits (B, K, Y, X), one map for each of K layers."""

    def __init__(self, config: SegmentationHeadConfig, in_channels: int, grid: BevGrid) -> None:
        super().__init__()
        self.config, self.grid = config, grid
        hidden = [conv_bn_relu(in_channels, config.hidden)] if config.hidden else []
        outputs = nn.Conv2d(config.hidden or in_channels, len(config.layers), 1)
        self.layers = nn.Sequential(*hidden, outputs)

    def forward(self, bev: Float[Tensor, "B C _ _"]) -> Float[Tensor, "B K Y X"]:
        """Logits; features coarser than the grid are brought to its resolution first."""
        size = self.grid.shape[1:]
        if bev.shape[-2:] != size:
            bev = F.interpolate(bev, size=size, mode="bilinear", align_corners=False)
        return self.layers(bev)

    def truth(
        self, outlines: Sequence[Outlines], least_visibility: int = 0
    ) -> Bool[Tensor, "B K Y X"]:
        """Which cells each layer covers.

        Args:
            outlines: of each sample, BEV frame.
            least_visibility: areas of a known level below it are left out; 0 takes all.

        Raises:
            DataError: where there are none.
        """
        if not outlines:
            raise DataError(
                "BEV segmentation needs outlines, and the batch carries none; set"
                f" --data.outlines.layers {' '.join(self.config.layers)}."
            )
        numbers = [LAYERS.index(name) for name in self.config.layers]
        return covered(outlines, numbers, self.grid, least_visibility)

    def loss(
        self, logits: Float[Tensor, "B K Y X"], outlines: Sequence[Outlines]
    ) -> dict[str, Tensor]:
        """The weighted loss of each layer, float32: ``bev_vehicle`` and so on; see ``truth``."""
        config = self.config
        target = self.truth(outlines, config.least_visibility).float()
        with torch.autocast(logits.device.type, enabled=False):
            if config.loss == "focal":
                from torchvision.ops import sigmoid_focal_loss  # seconds to import

                cells = sigmoid_focal_loss(logits.float(), target)
            else:
                positive = torch.tensor(config.positive_weight, device=logits.device)
                cells = F.binary_cross_entropy_with_logits(
                    logits.float(), target, pos_weight=positive, reduction="none"
                )
            means = cells.mean(dim=(0, 2, 3))
        weights = config.weight * (len(config.layers) // len(config.weight))
        return {
            f"bev_{name}": weight * mean
            for name, weight, mean in zip(config.layers, weights, means, strict=True)
        }

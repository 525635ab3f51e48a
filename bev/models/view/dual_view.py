"""Dual view transform: lift-splat combined with sampling from BEV cells back to the images.

Lift-splat (the forward projection) leaves cells without depth points empty. The backward projection
fills them: points at several heights above each cell are projected into the cameras and sample
image features, weighted by the predicted probability that the surface seen by the pixel is at the
depth of the point. Both projections use the same predicted depth, so both train it.

After Li et al., DualBEV (2024): its probabilistic projection, and its fusion by channel attention
and a BEV probability. Deviations: the BEV probability has no loss of its own, and there is no
foreground mask of the images.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bev.bounds import check_clashes, refusals
from bev.errors import ConfigError
from bev.geometry import BevGrid, Cameras
from bev.geometry.grid import Axis
from bev.models.camera_mask import gather_valid, scatter_valid
from bev.models.layers import conv_bn_relu
from bev.models.view.base import BevFeatures, ViewTransformConfig
from bev.models.view.depth_bins import DepthBinning
from bev.models.view.image_sampling import (
    ImageSampling,
    Sightings,
    planes,
    sample_features,
)
from bev.models.view.lift_splat import LiftSplatConfig

_SQUEEZE = 4  # reduction factor of the hidden layer of the channel attention


@dataclass(frozen=True)
class DualViewTransformConfig(ViewTransformConfig):
    """Settings of :class:`DualViewTransform`.

    Attributes:
        lift: settings of lift-splat; the backward projection samples features with as many
            channels.
        z: (lo, hi, step) of the heights of the sampling points in the BEV frame, metres.
    """

    lift: LiftSplatConfig = LiftSplatConfig()
    z: Axis = (-3.0, 5.0, 1.0)

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about heights and depth bins that cannot be used."""
        yield from refusals(lambda: planes("view.z", self.z))
        if self.depth.bins < 2:
            yield (
                "DualViewTransform interpolates between depth bins, but view.lift.depth has only"
                " one; set a smaller step."
            )

    @property
    def depth(self) -> DepthBinning:
        """Depth bins of ``lift``."""
        return self.lift.depth

    @property
    def predicts_depth(self) -> bool:
        return self.lift.predicts_depth

    @property
    def assumes_ground(self) -> bool:
        return self.lift.assumes_ground

    def build(self, in_channels: int, stride: int, grid: BevGrid) -> "DualViewTransform":
        """Build the view transform.

        Raises:
            ConfigError: if ``lift`` predicts no depth.
        """
        if not self.predicts_depth:
            raise ConfigError(
                "DualViewTransform weights by predicted depth, but its lift predicts none; choose"
                " another view.lift.depth_net."
            )
        return DualViewTransform(self, in_channels, stride, grid)


class DualViewTransform(ImageSampling):
    """Image features to BEV features by lift-splat and by sampling the images."""

    sums_columns = True

    def __init__(
        self, config: DualViewTransformConfig, in_channels: int, stride: int, grid: BevGrid
    ) -> None:
        super().__init__()
        self.config, self.stride, self.grid = config, stride, grid
        self.lift = config.lift.build(in_channels, stride, grid)
        self.channels = self.lift.channels
        self.heights = planes("view.z", config.z)
        self.context = nn.Conv2d(in_channels, self.channels, 1)
        self.gate = FusionGate(self.channels)

    def forward(
        self,
        features: Float[Tensor, "B N C h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
        camera_mask: Bool[Tensor, "B N"] | None = None,
    ) -> BevFeatures:
        lifted, depth_logits = self.lift(features, image_size, cameras, bev_from_ego, camera_mask)
        context = scatter_valid(
            self.context(gather_valid(features, camera_mask)), camera_mask, len(features)
        )
        depth = rearrange(depth_logits, "b n h w d -> b n d h w").softmax(dim=2)
        depth = rearrange(depth, "b n d h w -> b n h w d")
        sampled = self.look_back(context, depth, image_size, cameras, bev_from_ego)
        sampled = sampled.to(lifted.dtype)
        return BevFeatures(lifted + self.gate(lifted, sampled) * sampled, depth_logits)

    def look_back(
        self,
        context: Float[Tensor, "B N C h w"],
        depth: Float[Tensor, "B N h w D"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
    ) -> Float[Tensor, "B C Y X"]:
        """Sum of the features sampled by the column of points of each cell, weighted by depth."""
        feature_size = (context.shape[-2], context.shape[-1])
        sightings = self.geometry_of(
            self.sightings, image_size, feature_size, cameras, bev_from_ego
        )
        factor = sighting_probability(depth, sightings, self.lift.bin_depths(depth.device))
        sampled = sample_features(context, sightings, factor)
        return rearrange(sampled, "b (y x) c -> b c y x", y=self.grid.shape[1])


def sighting_probability(
    depth: Float[Tensor, "B N h w D"], sightings: Sightings, centers: Float[Tensor, " D"]
) -> Float[Tensor, " S"]:
    """Predicted probability that the surface seen by a pixel is at the depth of the point.

    Interpolates linearly between feature cells and between the centres of the depth bins (metres,
    ascending, D >= 2), and falls to 0 one bin beyond the first and the last bin.
    """
    bins = len(centers)
    upper = torch.searchsorted(centers, sightings.depth).clamp(1, bins - 1)
    low, high = centers[upper - 1], centers[upper]
    position = upper - 1 + (sightings.depth - low) / (high - low)
    nearer = position.floor()
    flat = depth.flatten()
    total = torch.zeros_like(sightings.depth)
    for bin_index, share in ((nearer, 1 - (position - nearer)), (nearer + 1, position - nearer)):
        share = share * ((bin_index >= 0) & (bin_index < bins))
        index = sightings.cell * bins + bin_index.clamp(0, bins - 1).long().unsqueeze(-1)
        total = total + share * (flat[index] * sightings.weight).sum(-1)
    return total


class FusionGate(nn.Module):
    """Weights of the sampled BEV features: a channel attention times a probability per cell.

    Both are computed from the lifted and the sampled BEV features: the channel attention by squeeze
    and excitation (Hu et al. 2018), the probability that a cell is occupied by convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(channels // _SQUEEZE, 4)
        self.channel = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(2 * channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )
        self.cell = nn.Sequential(
            conv_bn_relu(2 * channels, hidden), nn.Conv2d(hidden, 1, 1), nn.Sigmoid()
        )

    def forward(
        self, lifted: Float[Tensor, "B C Y X"], sampled: Float[Tensor, "B C Y X"]
    ) -> Float[Tensor, "B C Y X"]:
        both = torch.cat([lifted, sampled], dim=1)
        return self.channel(both) * self.cell(both)

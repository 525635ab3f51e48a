"""Voxel sampling: image features sampled at the projected voxel centres.

No depth is predicted: all voxels along a ray get the same feature. After Harley et al., Simple-BEV
(2022), section 3: voxel centres are projected into every camera, features are sampled bilinearly
and averaged over the cameras that see the point; heights are folded into channels and reduced by a
convolution.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bev.bounds import Count, check_clashes, refusals
from bev.geometry import BevGrid, Cameras
from bev.geometry.grid import Axis
from bev.models.camera_mask import gather_valid, scatter_valid
from bev.models.layers import conv_bn_relu
from bev.models.view.base import BevFeatures, ViewTransformConfig
from bev.models.view.image_sampling import ImageSampling, planes, sample_features


@dataclass(frozen=True)
class VoxelSamplingConfig(ViewTransformConfig):
    """Settings of :class:`VoxelSampling`.

    Attributes:
        z: (lo, hi, step) of the voxel heights in the BEV frame, metres; the z range of the grid is
            not used.
        channels: channels of the sampled image features, and of the output.
    """

    z: Axis = (-3.0, 5.0, 1.0)
    channels: Count = 64

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about heights that cannot be used."""
        yield from refusals(lambda: planes("view.z", self.z))

    def build(self, in_channels: int, stride: int, grid: BevGrid) -> "VoxelSampling":
        return VoxelSampling(self, in_channels, stride, grid)


class VoxelSampling(ImageSampling):
    """Image features to BEV features, without depth.

    A 1x1 convolution reduces the channels of the image features before the sampling, as the voxel
    volume is much larger than the feature maps.
    """

    sums_columns = False

    def __init__(
        self, config: VoxelSamplingConfig, in_channels: int, stride: int, grid: BevGrid
    ) -> None:
        super().__init__()
        self.config, self.stride, self.grid = config, stride, grid
        self.channels = config.channels
        self.heights = planes("view.z", config.z)
        self.context = nn.Conv2d(in_channels, config.channels, 1)
        self.reduce = conv_bn_relu(len(self.heights) * config.channels, config.channels)

    def forward(
        self,
        features: Float[Tensor, "B N C h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
        camera_mask: Bool[Tensor, "B N"] | None = None,
    ) -> BevFeatures:
        context = scatter_valid(
            self.context(gather_valid(features, camera_mask)), camera_mask, len(features)
        )
        volume = self.sample(context, image_size, cameras, bev_from_ego)
        return BevFeatures(self.reduce(rearrange(volume, "b c z y x -> b (z c) y x")), None)

    def sample(
        self,
        context: Float[Tensor, "B N C h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
    ) -> Float[Tensor, "B C Z Y X"]:
        """Features at the voxel centres, averaged over the cameras that see them; 0 without any."""
        feature_size = (context.shape[-2], context.shape[-1])
        sightings = self.geometry_of(
            self.sightings, image_size, feature_size, cameras, bev_from_ego
        )
        seen = sightings.start.diff()
        factor = torch.repeat_interleave(1 / seen, seen)
        sampled = sample_features(context, sightings, factor)
        _, rows, columns = self.grid.shape
        shape = {"y": rows, "x": columns, "z": len(self.heights)}
        return rearrange(sampled, "b (y x z) c -> b c z y x", **shape)

"""Voxel sampling: every voxel centre reads the image features that it projects to.

No depth is predicted: a feature reaches all voxels along its ray alike. After Harley et al.,
Simple-BEV (2022), section 3: the volume's centres are projected into every camera, features are
read bilinearly and averaged over the cameras that see the point; heights are folded into channels
and reduced by a convolution.
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bev.geometry import BevGrid, Cameras
from bev.geometry.grid import Axis
from bev.models.camera_mask import gather_valid, scatter_valid
from bev.models.layers import conv_bn_relu
from bev.models.view.base import BevFeatures, ViewTransform, ViewTransformConfig
from bev.models.view.image_sampling import column_points, find_sightings, planes, sample_features


@dataclass(frozen=True)
class VoxelSamplingConfig(ViewTransformConfig):
    """Settings of :class:`VoxelSampling`.

    Attributes:
        z: (lo, hi, step) of the voxels' heights in the BEV frame, metres; the grid's own z is not
            used.
        channels: width of the image features that are read, and of the result.
    """

    z: Axis = (-3.0, 5.0, 1.0)
    channels: int = 64

    def __post_init__(self) -> None:
        planes("view.z", self.z)

    def build(self, in_channels: int, stride: int, grid: BevGrid) -> "VoxelSampling":
        return VoxelSampling(self, in_channels, stride, grid)


class VoxelSampling(ViewTransform):
    """Image features to BEV features, without depth.

    A 1x1 convolution brings the image features to the width that is read: the volume, not the
    images, is the large tensor.
    """

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
        """Features at the voxel centres, averaged over the cameras that see them; 0 where none."""
        points = column_points(self.grid, self.heights, context.device).view(-1, 1, 3)
        sightings = find_sightings(
            points, cameras, bev_from_ego, image_size, context.shape[-2:], self.stride
        )
        seen = sightings.start.diff()
        factor = torch.repeat_interleave(1 / seen, seen)
        sampled = sample_features(context, sightings, factor)
        _, rows, columns = self.grid.shape
        shape = {"y": rows, "x": columns, "z": len(self.heights)}
        return rearrange(sampled, "b (y x z) c -> b c z y x", **shape)

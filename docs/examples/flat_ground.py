"""A custom view transform: each BEV cell samples the images at its position on flat ground.

Inverse perspective mapping (Mallot et al., Inverse perspective mapping simplifies optical flow
computation and obstacle detection, 1991): right for road markings, wrong for objects above ground.
"""

from dataclasses import dataclass, replace

import torch
from einops import rearrange
from lss_synthetic import config as base
from torch import nn

from bev.models import DepthSupervisionConfig, ViewTransformConfig
from bev.models.camera_mask import gather_valid, scatter_valid
from bev.models.view.base import BevFeatures, ViewTransform
from bev.models.view.image_sampling import column_points, find_sightings, sample_features


@dataclass(frozen=True)
class FlatGroundConfig(ViewTransformConfig):
    channels: int = 64

    def build(self, in_channels, stride, grid):
        return FlatGround(self, in_channels, stride, grid)


class FlatGround(ViewTransform):
    def __init__(self, config, in_channels, stride, grid):
        super().__init__()
        self.channels, self.stride, self.grid = config.channels, stride, grid
        self.context = nn.Conv2d(in_channels, config.channels, 1)

    def forward(self, features, image_size, cameras, bev_from_ego, camera_mask=None):
        context = scatter_valid(
            self.context(gather_valid(features, camera_mask)), camera_mask, len(features)
        )
        points = column_points(self.grid, [0.0], context.device)
        sightings = find_sightings(
            points, cameras, bev_from_ego, image_size, context.shape[-2:], self.stride
        )
        count = sightings.start.diff()  # cameras that see each cell
        mean = torch.repeat_interleave(1 / count, count)  # weights of a mean over cameras
        bev = sample_features(context, sightings, mean)
        return BevFeatures(rearrange(bev, "b (y x) c -> b c y x", y=self.grid.shape[1]), None)


model = replace(base.model, view=FlatGroundConfig(), depth_supervision=DepthSupervisionConfig(0.0))
config = replace(base, model=model)

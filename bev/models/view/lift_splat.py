"""Lift-splat: image features to BEV features by predicted depth.

Lift: a distribution over depth bins and a context vector are predicted for every feature pixel.
Splat: their products are summed into the BEV cells that contain the depth points of the pixel.
After Philion and Fidler, Lift, Splat, Shoot (2020), sections 3.1 and 3.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from bev.bounds import Count
from bev.geometry import BevGrid, Cameras, feature_pixels
from bev.models.camera_mask import gather_valid, scatter_valid
from bev.models.view.base import BevFeatures, ViewTransform, ViewTransformConfig
from bev.models.view.depth_bins import DepthBinning, DepthBins
from bev.models.view.depth_net import ConvDepthNetConfig, DepthContext, DepthNetConfig
from bev.ops import VoxelPlan, voxel_pool


@dataclass(frozen=True)
class LiftSplatConfig(ViewTransformConfig):
    """Settings of :class:`LiftSplat`.

    Attributes:
        depth: depth bins.
        depth_net: net that predicts depth distribution and context from the features.
        channels: channels of the context.
        frustum: "centers" places the depth points on rays through the centres of feature cells, at
            the centres of bins; "corners" reproduces published code (rays spread over the pixels
            [0, W - 1], points at the lower edges of bins).
        ray_features: additionally input the viewing direction of each pixel in the BEV frame, the
            depth at which its ray meets flat ground, and the nearness of each depth point to the
            ground.
        truncate: round cell indices towards zero, as published code does by integer casts: depth
            points up to one cell below a range of the grid are counted in its first cell (in z,
            with one cell of 8 m, the points of 8 m below the grid). For published weights; off,
            such points are left out.
    """

    depth: DepthBinning = DepthBins(1.0, 60.0, 1.0)
    depth_net: DepthNetConfig = ConvDepthNetConfig()
    channels: Count = 80
    frustum: Literal["centers", "corners"] = "centers"
    ray_features: bool = False
    truncate: bool = False

    @property
    def predicts_depth(self) -> bool:
        return self.depth_net.predicts_depth

    @property
    def assumes_ground(self) -> bool:
        return self.ray_features

    def build(self, in_channels: int, stride: int, grid: BevGrid) -> "LiftSplat":
        return LiftSplat(self, in_channels, stride, grid)


class LiftGeometry(NamedTuple):
    """Part of lift-splat that depends on the calibration alone.

    Attributes:
        plan: pooling plan of the depth points.
        features: further inputs of the depth net, (B, N, _, h, w) each; see ``ray_features``.
    """

    plan: VoxelPlan
    features: list[Tensor]


class LiftSplat(ViewTransform):
    """Image features to BEV features.

    Attributes:
        channels: channels of the BEV features (context channels times cells in z).
    """

    def __init__(
        self, config: LiftSplatConfig, in_channels: int, stride: int, grid: BevGrid
    ) -> None:
        super().__init__()
        self.config, self.stride, self.grid = config, stride, grid
        config.depth.check()
        self.channels = config.channels * grid.shape[0]
        bins = config.depth.bins
        width = in_channels + (4 + bins if config.ray_features else 0)
        self.depth_net = config.depth_net.build(width, bins, config.channels)

    def forward(
        self,
        features: Float[Tensor, "B N C h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
        camera_mask: Bool[Tensor, "B N"] | None = None,
    ) -> BevFeatures:
        feature_size = (features.shape[-2], features.shape[-1])
        plan, more = self.geometry_of(
            self.geometry, image_size, feature_size, cameras, bev_from_ego
        )
        inputs = _concatenated(features, [part.to(features.dtype) for part in more])
        logits, context = self._depth_context(
            inputs, image_size, cameras, bev_from_ego, camera_mask
        )
        if logits is None:
            batch, count, bins, height, width = plan.frustum_shape
            shape = (batch, count, height, width, bins)
            depth = features.new_full(shape, 1 / bins, dtype=torch.float32)
        else:
            logits = logits.float()
            depth = logits.softmax(dim=-1)
        # Bins stay last in memory, as the pooling needs them.
        depth = rearrange(depth, "b n h w d -> b n d h w")
        return BevFeatures(voxel_pool(depth, context, plan), logits)

    @torch.no_grad()
    def geometry(
        self,
        image_size: tuple[int, int],
        feature_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
    ) -> LiftGeometry:
        """Compute the pooling plan and the ray features of feature maps of (h, w) cells."""
        device = bev_from_ego.device
        # Geometry stays in float32: half precision would move far points by metres.
        with torch.autocast(device.type, enabled=False):
            corners = self.config.frustum == "corners"
            pixels = feature_pixels(image_size, feature_size, self.stride, corners, device)
            points = frustum_points(pixels, self.bin_depths(device), cameras, bev_from_ego)
            plan = VoxelPlan.from_points(points, self.grid, self.config.truncate)
            features = []
            if self.config.ray_features:
                rays = ray_features(pixels, cameras, bev_from_ego)
                features = [rays, ground_nearness(points)]
        return LiftGeometry(plan, features)

    def _depth_context(
        self,
        features: Float[Tensor, "B N F h w"],
        image_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
        camera_mask: Bool[Tensor, "B N"] | None,
    ) -> DepthContext:
        """Apply the depth net, to the valid cameras only."""
        if camera_mask is None:
            return self.depth_net(features, image_size, cameras, bev_from_ego)
        # Depth nets process cameras independently: pass each valid camera as one sample.
        valid = gather_valid(features, camera_mask).unsqueeze(1)
        bev_from_ego = bev_from_ego[camera_mask.nonzero()[:, 0]]
        logits, context = self.depth_net(
            valid, image_size, cameras[camera_mask][:, None], bev_from_ego
        )
        batch = len(features)
        return DepthContext(
            None if logits is None else scatter_valid(logits.squeeze(1), camera_mask, batch),
            scatter_valid(context.squeeze(1), camera_mask, batch),
        )

    def bin_depths(self, device: torch.device | str | None = None) -> Float[Tensor, " D"]:
        """Depth of the point of each bin, metres."""
        bins = self.config.depth
        return bins.centers(device) if self.config.frustum == "centers" else bins.edges(device)[:-1]


def _concatenated(
    features: Float[Tensor, "B N C h w"], more: Sequence[Float[Tensor, "B N _ h w"]]
) -> Float[Tensor, "B N _ h w"]:
    """Concatenate further channels to the features; the result is channels-last in memory."""
    if not more:
        return features
    flat = [rearrange(part, "b n c h w -> (b n) c h w") for part in (features, *more)]
    return rearrange(torch.cat(flat, dim=1), "(b n) c h w -> b n c h w", b=len(features))


def frustum_points(
    pixels: Float[Tensor, "h w 2"],
    depths: Float[Tensor, " D"],
    cameras: Cameras,
    bev_from_ego: Float[Tensor, "B 4 4"],
) -> Float[Tensor, "B N D h w 3"]:
    """Depth points of every pixel in the BEV frame, metres.

    In memory, x, y and z are separate planes, and the points of a pixel are contiguous, as
    ``VoxelPlan`` needs them.
    """
    height, width = pixels.shape[:2]
    batch, count = cameras.intrinsics.shape[:2]
    flat = pixels.reshape(-1, 2).to(cameras.intrinsics).expand(batch, count, -1, 2)
    bev_from_camera = bev_from_ego.unsqueeze(1) @ cameras.ego_from_camera
    # Rays have depth 1, and are NaN outside the field of view, where the plan ignores them.
    directions = cameras.rays(flat) @ bev_from_camera[..., :3, :3].transpose(-1, -2)
    directions = rearrange(directions, "b n p xyz -> xyz b n p 1").contiguous()
    origin = rearrange(bev_from_camera[..., :3, 3], "b n xyz -> xyz b n 1 1").contiguous()
    points = (directions * depths.to(directions)).add_(origin)  # addcmul is slower on CPUs
    return rearrange(points, "xyz b n (h w) d -> b n d h w xyz", h=height, w=width)


def ray_features(
    pixels: Float[Tensor, "h w 2"], cameras: Cameras, bev_from_ego: Float[Tensor, "B 4 4"]
) -> Float[Tensor, "B N 4 h w"]:
    """Unit viewing direction in the BEV frame, and 10 m / depth of flat ground (0 if not visible).

    All features are 0 outside the field of view. Directions are in the BEV frame, so that the
    network can convert headings from the image to the BEV under any BEV augmentation.
    """
    height, width = pixels.shape[:2]
    batch, count = cameras.intrinsics.shape[:2]
    flat = pixels.reshape(-1, 2).to(cameras.intrinsics).expand(batch, count, -1, 2)
    rotation = (bev_from_ego.unsqueeze(1) @ cameras.ego_from_camera)[..., :3, :3]
    directions = cameras.rays(flat) @ rotation.transpose(-1, -2)
    # The ray meets the ground z = 0 at depth -camera_z / ray_z, whose inverse is finite at the
    # horizon. Computed in the ego frame, as BEV scaling changes neither the ground nor the depth.
    up = (cameras.rays(flat) @ cameras.ego_from_camera[..., 2, :3, None]).squeeze(-1)
    height_above_ground = cameras.ego_from_camera[..., 2, 3, None].clamp(min=0.1)
    inverse_depth = (-up / height_above_ground).clamp(min=0)
    unit = nn.functional.normalize(directions, dim=-1)
    joined = torch.cat([unit, 10 * inverse_depth.clamp(max=0.5).unsqueeze(-1)], dim=-1)
    joined = joined.nan_to_num(0.0)
    return rearrange(joined, "b n (h w) c -> b n c h w", h=height, w=width)


def ground_nearness(
    points: Float[Tensor, "B N D h w 3"],
) -> Float[Tensor, "B N D h w"]:
    """Nearness exp(-z^2 / 2) of depth points at height z (metres) to flat ground.

    1 on the ground, 0.14 at 2 m above or below, and 0 outside the field of view.
    """
    return torch.exp(-0.5 * points[..., 2] ** 2).nan_to_num(0.0)

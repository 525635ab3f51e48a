"""The parts of each view transform, as functions to be timed on what they get in a step."""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

from bev.data.batch import Batch
from bev.geometry import feature_pixels
from bev.models.view.base import ViewTransform
from bev.models.view.dual_view import DualViewTransform
from bev.models.view.image_sampling import Sightings, column_points, find_sightings, sample_features
from bev.models.view.lift_splat import LiftSplat, frustum_points
from bev.models.view.voxel_sampling import VoxelSampling
from bev.ops import VoxelPlan, voxel_pool

# Every name that ``view_parts`` gives, in the order of the data's way.
PARTS = ("frustum", "plan", "pooling", "sightings", "sampling")
Trained = Callable[..., Callable[[], None]]


def view_parts(
    view: ViewTransform, batch: Batch, features: Tensor, trained: Trained
) -> dict[str, Callable[[], object]]:
    """The parts of a view transform that are no layers, by name; none of one unknown here.

    Args:
        features: (B, N, C, h, w), what the view transform is given.
        trained: makes a function's forward and backward pass on given tensors.
    """
    if isinstance(view, DualViewTransform):
        forth = _lift_parts(view.lift, batch, features, trained)
        return forth | _sampling_parts(view, batch, features, trained)
    if isinstance(view, VoxelSampling):
        return _sampling_parts(view, batch, features, trained)
    return _lift_parts(view, batch, features, trained) if isinstance(view, LiftSplat) else {}


def _lift_parts(
    view: LiftSplat, batch: Batch, features: Tensor, trained: Trained
) -> dict[str, Callable[[], object]]:
    device = features.device
    pixels = feature_pixels(batch.image_size, features.shape[-2:], view.stride, device=device)
    frustum = (pixels, view.bin_depths(device), batch.views.cameras, batch.bev_from_ego)
    points = frustum_points(*frustum)
    plan = VoxelPlan.from_points(points, view.grid)
    depth, context = _pooling_inputs(points, view.config.channels, features.dtype)

    def pool(depth: Tensor, context: Tensor) -> Tensor:
        return voxel_pool(rearrange(depth, "b n h w d -> b n d h w"), context, plan)

    return {
        "frustum": lambda: frustum_points(*frustum),
        "plan": lambda: VoxelPlan.from_points(points, view.grid),
        "pooling": trained(pool, depth, context),
    }


def _pooling_inputs(points: Tensor, channels: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Depth (B, N, h, w, D) and context (B, N, C, h, w) as in the view transform.

    Bins and channels are last in memory.
    """
    batch, cameras, bins, height, width, _ = points.shape
    both = torch.rand(batch, cameras, height, width, bins + channels, device=points.device)
    # The context is a slice of what the depth net gives, the depth a softmax of its own.
    depth, context = both[..., :bins].contiguous(), both.to(dtype)[..., bins:]
    return depth, rearrange(context, "b n h w c -> b n c h w")


def _sampling_parts(
    view: VoxelSampling | DualViewTransform, batch: Batch, features: Tensor, trained: Trained
) -> dict[str, Callable[[], object]]:
    # The way back sums over each column, by factors that are learned.
    back = isinstance(view, DualViewTransform)
    size, channels = features.shape[-2:], view.context.out_channels

    def sightings() -> Sightings:
        points = column_points(view.grid, view.heights, features.device)
        points = points if back else points.view(-1, 1, 3)
        place = (batch.views.cameras, batch.bev_from_ego, batch.image_size)
        return find_sightings(points, *place, size, view.stride)

    found = sightings()
    rows = torch.rand(*features.shape[:2], *size, channels, device=features.device)
    context = rearrange(rows.to(features.dtype), "b n h w c -> b n c h w")
    factor = torch.rand_like(found.depth)
    if back:
        sampling = trained(lambda c, f: sample_features(c, found, f), context, factor)
    else:
        sampling = trained(lambda c: sample_features(c, found, factor), context)
    return {"sightings": sightings, "sampling": sampling}

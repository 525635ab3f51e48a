"""Parts of the view transforms, as functions to be timed on the inputs of a training step."""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor

from bev.data.batch import Batch
from bev.geometry import feature_pixels
from bev.models.view.base import ViewTransform
from bev.models.view.dual_view import DualViewTransform
from bev.models.view.image_sampling import Sightings, sample_features
from bev.models.view.lift_splat import LiftSplat, frustum_points
from bev.models.view.voxel_sampling import VoxelSampling
from bev.ops import VoxelPlan, voxel_pool

# All names of ``view_parts``, in the order of computation.
PARTS = ("frustum", "plan", "pooling", "sightings", "sampling")
Trained = Callable[..., Callable[[], None]]


def view_parts(
    view: ViewTransform, batch: Batch, features: Tensor, trained: Trained
) -> dict[str, Callable[[], object]]:
    """Parts of a view transform other than layers, by name; empty for unknown view transforms.

    Args:
        view: view transform.
        batch: input batch.
        features: (B, N, C, h, w) image features, the input of the view transform.
        trained: function that makes a forward and backward pass from a function and its inputs.
    """
    if isinstance(view, DualViewTransform):
        lifting = _lift_parts(view.lift, batch, features, trained)
        return lifting | _sampling_parts(view, batch, features, trained)
    if isinstance(view, VoxelSampling):
        return _sampling_parts(view, batch, features, trained)
    return _lift_parts(view, batch, features, trained) if isinstance(view, LiftSplat) else {}


def _lift_parts(
    view: LiftSplat, batch: Batch, features: Tensor, trained: Trained
) -> dict[str, Callable[[], object]]:
    device, (height, width) = features.device, features.shape[-2:]
    pixels = feature_pixels(batch.image_size, (height, width), view.stride, device=device)
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
    """Random depth (B, N, h, w, D) and context (B, N, C, h, w), laid out as in the view transform.

    Bins and channels are last in memory.
    """
    batch, cameras, bins, height, width, _ = points.shape
    both = torch.rand(batch, cameras, height, width, bins + channels, device=points.device)
    # The context is a slice of the output of the depth net; the depth is a softmax of its own.
    depth, context = both[..., :bins].contiguous(), both.to(dtype)[..., bins:]
    return depth, rearrange(context, "b n h w c -> b n c h w")


def _sampling_parts(
    view: VoxelSampling | DualViewTransform, batch: Batch, features: Tensor, trained: Trained
) -> dict[str, Callable[[], object]]:
    # DualViewTransform sums over each column of points, with learned weights.
    dual = isinstance(view, DualViewTransform)
    (height, width), channels = features.shape[-2:], view.context.out_channels

    def sightings() -> Sightings:
        geometry = (batch.views.cameras, batch.bev_from_ego)
        return view.sightings(batch.image_size, (height, width), *geometry)

    pairs = sightings()
    rows = torch.rand(*features.shape[:2], height, width, channels, device=features.device)
    context = rearrange(rows.to(features.dtype), "b n h w c -> b n c h w")
    factor = torch.rand_like(pairs.depth)
    if dual:
        sampling = trained(lambda c, f: sample_features(c, pairs, f), context, factor)
    else:
        sampling = trained(lambda c: sample_features(c, pairs, factor), context)
    return {"sightings": sightings, "sampling": sampling}

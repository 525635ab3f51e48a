"""Flip test-time augmentation: outputs of a scene and of its mirror image, averaged.

The mirror image of a scene is a scene: images flipped left and right, their calibration with them,
and left and right of the BEV exchanged. Each head mirrors its outputs of it back and averages (see
``bev.models.heads.base.Head.averaged``), at the price of a second pass.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch, Views
from bev.errors import ConfigError
from bev.geometry import BevGrid, bev_transform


def check_flip(grid: BevGrid) -> None:
    """Raises ConfigError for a grid that is not its own mirror image in y."""
    if abs(grid.y[0] + grid.y[1]) > 1e-6:
        raise ConfigError(
            f"Test-time mirroring needs a grid that is symmetric in y, not {grid.y}; set"
            " --model.no-flip-tta."
        )


def flipped(batch: Batch) -> Batch:
    """The mirror image of a batch: flipped images, their calibration, and the BEV frame."""
    device = batch.bev_from_ego.device
    flip = torch.eye(3, device=device)
    flip[0, 0], flip[0, 2] = -1, batch.image_size[1]
    mirror = bev_transform(flip_y=True).to(batch.bev_from_ego)

    def flipped_views(views: Views) -> Views:
        matrix = flip @ views.cameras.image_from_original
        cameras = replace(views.cameras, image_from_original=matrix)
        return replace(views, images=views.images.flip(-1), cameras=cameras)

    # Geometry stays in float32, also where the network computes in half precision.
    with torch.autocast(device.type, enabled=False):
        return replace(
            batch.map_views(flipped_views),
            bev_from_ego=mirror @ batch.bev_from_ego,
            boxes=[boxes.transform(mirror) for boxes in batch.boxes],
            polygons=[polygons.transform(mirror) for polygons in batch.polygons],
        )


def averaged_logits(
    first: Float[Tensor, "B K Y X"], second: Float[Tensor, "B K Y X"]
) -> Float[Tensor, "B K Y X"]:
    """Logits of the mean of two probabilities."""
    probability = (first.float().sigmoid() + second.float().sigmoid()) / 2
    return torch.logit(probability, eps=1e-6)

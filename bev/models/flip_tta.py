"""Flip test-time augmentation (TTA): average the outputs of a batch and of its flipped copy.

A batch is flipped consistently: images horizontally, camera matrices accordingly, and the BEV frame
in y. Each head flips its outputs of the flipped batch back and averages them with the original ones
(see ``bev.models.heads.base.Head.averaged``). The cost is a second forward pass.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch, Views
from bev.errors import ConfigError
from bev.geometry import BevGrid, bev_transform


def check_flip(grid: BevGrid) -> None:
    """Check that the grid is symmetric in y.

    Raises:
        ConfigError: if it is not.
    """
    if abs(grid.y[0] + grid.y[1]) > 1e-6:
        raise ConfigError(
            f"Flip test-time augmentation needs a grid that is symmetric in y, not {grid.y}; set"
            " --model.no-flip-tta."
        )


def flipped(batch: Batch) -> Batch:
    """Flip a batch horizontally: images, camera matrices, BEV frame, boxes and polygons."""
    device = batch.bev_from_ego.device
    flip = torch.eye(3, device=device)
    flip[0, 0], flip[0, 2] = -1, batch.image_size[1]
    mirror = bev_transform(flip_y=True).to(batch.bev_from_ego)

    def flipped_views(views: Views) -> Views:
        matrix = flip @ views.cameras.image_from_original
        cameras = replace(views.cameras, image_from_original=matrix)
        return replace(views, images=views.images.flip(-1), cameras=cameras)

    # Geometry stays in float32, even if the network runs in half precision.
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
    """Logits of the mean of two probability maps."""
    probability = (first.float().sigmoid() + second.float().sigmoid()) / 2
    return torch.logit(probability, eps=1e-6)

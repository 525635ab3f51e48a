"""Test-time mirroring: what the network says of the scene and of its mirror image, averaged.

The mirror image of a scene is a scene: images flipped left and right, their calibration with them,
and left and right of the BEV exchanged. The network's maps of it, mirrored back, are a second
opinion at the price of a second pass.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch, Views
from bev.errors import ConfigError
from bev.geometry import BevGrid, bev_transform
from bev.models.heads.center.heading import mirrored_sectors
from bev.models.heads.center.targets import GroupOutput

# Channels of the regression tensor (bev.models.heads.center.targets) that change under a mirror.
_OFFSET_Y, _SINE, _VELOCITY_Y = 1, 6, 9
_HEADING = slice(6, 8)


def check_mirrors(grid: BevGrid) -> None:
    """Raises ConfigError for a grid that is not its own mirror image in y."""
    if abs(grid.y[0] + grid.y[1]) > 1e-6:
        raise ConfigError(
            f"Test-time mirroring needs a grid that is symmetric in y, not {grid.y}; set"
            " --model.no-test-mirror."
        )


def mirrored(batch: Batch) -> Batch:
    """The mirror image of a batch: flipped images, their calibration, and the BEV frame."""
    device = batch.bev_from_ego.device
    flip = torch.eye(3, device=device)
    flip[0, 0], flip[0, 2] = -1, batch.image_size[1]
    mirror = bev_transform(flip_y=True).to(batch.bev_from_ego)

    def flipped(views: Views) -> Views:
        matrix = flip @ views.cameras.image_from_original
        cameras = replace(views.cameras, image_from_original=matrix)
        return replace(views, images=views.images.flip(-1), cameras=cameras)

    # Geometry stays in float32, also where the network computes in half precision.
    with torch.autocast(device.type, enabled=False):
        return replace(
            batch.map_views(flipped),
            bev_from_ego=mirror @ batch.bev_from_ego,
            boxes=[boxes.transform(mirror) for boxes in batch.boxes],
            outlines=[outlines.transform(mirror) for outlines in batch.outlines],
        )


def mirrored_back(output: GroupOutput) -> GroupOutput:
    """The maps of the mirror image, as maps of the scene itself."""
    regression = output.regression.flip(2).clone()
    regression[:, _OFFSET_Y] = 1 - regression[:, _OFFSET_Y]
    regression[:, _SINE] = -regression[:, _SINE]
    regression[:, _VELOCITY_Y] = -regression[:, _VELOCITY_Y]
    return GroupOutput(
        output.heatmap.flip(2),
        regression,
        output.attribute.flip(2),
        mirrored_sectors(output.sector.flip(2)),
    )


def averaged(first: GroupOutput, second: GroupOutput) -> GroupOutput:
    """The mean of probabilities, of box parameters and of the logits of attributes and sectors."""
    regression = (first.regression + second.regression) / 2
    sector = (first.sector + second.sector) / 2
    if sector.shape[1]:
        # Turns are told from the middle of a sector: where one has the mean's sector and one has
        # not, the other's turn does not count.
        chosen = sector.argmax(dim=1, keepdim=True)
        own, other = (o.sector.argmax(dim=1, keepdim=True) == chosen for o in (first, second))
        for only, output in ((own & ~other, first), (other & ~own, second)):
            heading = torch.where(only, output.regression[:, _HEADING], regression[:, _HEADING])
            regression[:, _HEADING] = heading
    return GroupOutput(
        averaged_logits(first.heatmap, second.heatmap),
        regression,
        (first.attribute + second.attribute) / 2,
        sector,
    )


def averaged_logits(
    first: Float[Tensor, "B K Y X"], second: Float[Tensor, "B K Y X"]
) -> Float[Tensor, "B K Y X"]:
    """Logits of the mean of two probabilities."""
    probability = (first.float().sigmoid() + second.float().sigmoid()) / 2
    return torch.logit(probability, eps=1e-6)

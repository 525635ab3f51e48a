"""An auxiliary loss in image space: which class is seen where, by projecting the boxes.

The BEV loss reaches the backbone through depth and pooling, and says little until both work. This
one tells the image features directly what they look at. It is used in training only.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bev.data.batch import Views
from bev.data.nuscenes.classes import CLASSES
from bev.geometry import Boxes3D, Cameras, feature_cells, in_view
from bev.models.camera_mask import pack
from bev.models.heads.losses import HeatmapLoss

_NEAREST = 0.5  # metres: a box with a corner nearer than this to the image plane is left out


class ImageClassHead(nn.Module):
    """Class heatmaps over image features, and their loss against projected boxes."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.classify = nn.Conv2d(in_channels, len(CLASSES), 1)
        nn.init.constant_(self.classify.bias, -4.6)  # sigmoid(-4.6) = 0.01

    def loss(
        self,
        features: Float[Tensor, "B N C h w"],
        boxes: Sequence[Boxes3D],
        views: Views,
        bev_from_ego: Float[Tensor, "B 4 4"],
        stride: float,
    ) -> Float[Tensor, ""]:
        """Gaussian focal loss divided by the number of boxes seen.

        Args:
            features: at ``stride`` pixels a cell.
            boxes: truth in the BEV frame.
            views: those that the features are of; absent cameras do not count.
            bev_from_ego: BEV augmentation.
            stride: pixels per cell.
        """
        logits = self.classify(pack(features, views.present))
        targets = torch.stack(
            [
                image_heatmaps(
                    own.transform(torch.linalg.inv(bev_from_ego[sample])),
                    views.cameras[sample],
                    views.image_size,
                    tuple(features.shape[-2:]),
                    stride,
                )
                for sample, own in enumerate(boxes)
            ]
        )
        targets = pack(targets, views.present)
        centres = (targets == 1).sum().clamp(min=1)
        return HeatmapLoss()(logits, targets) / centres


@torch.no_grad()
def image_heatmaps(
    boxes: Boxes3D,
    cameras: Cameras,
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Float[Tensor, "N K h w"]:
    """For each camera and class, a Gaussian over the extent of every box that it sees.

    The value is 1 at the cell of the box's projected centre; the standard deviations are a sixth of
    the projected width and height, half a cell at least. Boxes known to be less than 40 % visible
    are left out.

    Args:
        boxes: in the ego frame.
        cameras: N cameras.
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; centred in the image where they do not fill it.
        stride: pixels per cell.
    """
    rows, columns = feature_size
    count = len(cameras.intrinsics)
    heatmaps = torch.zeros(count * len(CLASSES), rows, columns, device=boxes.center.device)
    boxes = boxes[boxes.visibility != 1]
    if len(boxes) == 0:
        return heatmaps.view(count, len(CLASSES), rows, columns)
    points = torch.cat([boxes.center.unsqueeze(1), boxes.corners()], dim=1)
    with torch.autocast(points.device.type, enabled=False):
        pixels, depth = cameras.project(points.view(-1, 3).expand(count, -1, 3))
    pixels, depth = pixels.view(count, -1, 9, 2), depth.view(count, -1, 9)
    seen = in_view(pixels[:, :, 0], depth.amin(dim=-1), image_size, nearest=_NEAREST)
    camera, box = seen.nonzero(as_tuple=True)
    extent = pixels[camera, box, 1:].amax(dim=1) - pixels[camera, box, 1:].amin(dim=1)
    sigma = (extent / (6 * stride)).clamp(min=0.5)
    cells = feature_cells(pixels[camera, box, 0], image_size, feature_size, stride).floor()
    column, row = cells.unsqueeze(-1).unbind(1)
    dx = torch.arange(columns, device=cells.device) - column.clamp(0, columns - 1)
    dy = torch.arange(rows, device=cells.device) - row.clamp(0, rows - 1)
    value = torch.exp(
        -0.5 * ((dx / sigma[:, :1]) ** 2).unsqueeze(1)
        - 0.5 * ((dy / sigma[:, 1:]) ** 2).unsqueeze(2)
    )
    index = camera * len(CLASSES) + boxes.label[box]
    heatmaps.scatter_reduce_(0, index.view(-1, 1, 1).expand_as(value), value, "amax")
    return heatmaps.view(count, len(CLASSES), rows, columns)

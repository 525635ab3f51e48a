"""Auxiliary classification loss in image space, with targets from projected boxes.

Gradients of the BEV losses reach the backbone through depth prediction and pooling, and are weak
until both work. This loss supervises the image features directly. It is used in training only.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bev.bounds import NonNegative
from bev.data.batch import Batch
from bev.data.labels import LabelSpace
from bev.geometry import Boxes3D, Cameras, feature_cells, in_view
from bev.models.camera_mask import gather_valid
from bev.models.heads.base import Features, FeatureSpec, Head, HeadConfig, Note
from bev.models.heads.losses import HeatmapLoss, mean_over_processes
from bev.serialization import from_plain

_NEAREST = 0.5  # metres; boxes with a corner nearer to the image plane are ignored


@dataclass(frozen=True)
class ImageClassHeadConfig(HeadConfig):
    """Settings of :class:`ImageClassHead`.

    Attributes:
        weight: weight of the loss; 0 disables the head.
    """

    weight: NonNegative = 0.0

    @property
    def active(self) -> bool:
        return self.weight > 0

    @property
    def auxiliary(self) -> bool:
        return True

    def build(self, spec: FeatureSpec) -> "ImageClassHead":
        return ImageClassHead(self, spec)


class ImageClassHead(Head):
    """Class heatmaps over image features, with a loss against projected boxes."""

    def __init__(self, config: ImageClassHeadConfig, spec: FeatureSpec) -> None:
        super().__init__()
        self.config, self.stride, self.space = config, spec.stride, spec.labels
        self.classify = nn.Conv2d(spec.image_channels, len(spec.labels.classes), 1)
        nn.init.constant_(cast(Tensor, self.classify.bias), -4.6)  # sigmoid(-4.6) = 0.01

    def forward(self, features: Features) -> Float[Tensor, "B N C h w"]:
        """Return the image features; heatmaps are computed in the loss only."""
        return features.image

    def loss(self, output: Float[Tensor, "B N C h w"], batch: Batch) -> dict[str, Tensor]:
        """Weighted loss term ``image``: Gaussian focal loss divided by the number of boxes in view.

        Absent cameras are ignored.
        """
        views = batch.views
        logits = self.classify(gather_valid(output, views.camera_mask))
        targets = torch.stack(
            [
                image_heatmaps(
                    boxes.transform(torch.linalg.inv(batch.bev_from_ego[sample])),
                    len(self.space.classes),
                    views.cameras[sample],
                    views.image_size,
                    (output.shape[-2], output.shape[-1]),
                    self.stride,
                )
                for sample, boxes in enumerate(batch.boxes)
            ]
        )
        targets = gather_valid(targets, views.camera_mask)
        centres = mean_over_processes((targets == 1).sum().float()).clamp(min=1)
        return {"image": self.config.weight * (HeatmapLoss()(logits, targets) / centres)}

    def averaged(self, output: Tensor, flipped: Tensor) -> Tensor:
        return output

    def decode(self, output: Tensor) -> None:
        """Return nothing: the head is used in training only."""

    def adapted(
        self, name: str, state: Mapping[str, Tensor], saved: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], list[Note]]:
        """Drop the tensors if the classes of the label spaces differ."""
        classifier = re.compile(rf"(^|\.){re.escape(name)}\.classify\.")
        kept = {key: value for key, value in state.items() if not classifier.search(key)}
        labels = saved.get("labels")
        if len(kept) == len(state):
            return kept, []
        if not isinstance(labels, Mapping):
            text = f"{name}: the file contains no class names; loaded in the order of the model"
            return dict(state), [Note((f"{name}.",), text)] if saved else []
        if from_plain(LabelSpace, labels, "labels").names == self.space.names:
            return dict(state), []
        return kept, [Note(("",), f"{name} not loaded: the file has other classes")]


@torch.no_grad()
def image_heatmaps(
    boxes: Boxes3D,
    classes: int,
    cameras: Cameras,
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Float[Tensor, "N K h w"]:
    """Target heatmaps of each camera and class, with a Gaussian for every box in view.

    The value is 1 at the cell of the projected box centre; the standard deviations are a sixth of
    the projected width and height, at least half a cell. Boxes known to be less than 40 % visible
    are ignored.

    Args:
        boxes: ground-truth boxes of one sample, ego frame.
        classes: number of classes K.
        cameras: N cameras.
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; the feature map is centred in the image if it does not fill it.
        stride: pixels per cell.
    """
    rows, columns = feature_size
    count = len(cameras.intrinsics)
    heatmaps = torch.zeros(count * classes, rows, columns, device=boxes.center.device)
    boxes = boxes[boxes.visibility != 1]
    if len(boxes) == 0:
        return heatmaps.view(count, classes, rows, columns)
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
    index = camera * classes + boxes.label[box]
    heatmaps.scatter_reduce_(0, index.view(-1, 1, 1).expand_as(value), value, "amax")
    return heatmaps.view(count, classes, rows, columns)

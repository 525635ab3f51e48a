"""Depth supervision from lidar: the nearest point in view of each feature cell names its bin.

After Li et al., BEVDepth (2022), section 4.1. A head without tensors of its own: its output are the
depth logits of the view transform.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch
from bev.errors import ConfigError, DataError, TrainingError
from bev.geometry import Cameras, feature_cells, in_view
from bev.models.heads.base import Features, FeatureSpec, Head, HeadConfig
from bev.models.heads.losses import class_loss
from bev.models.view.depth_bins import DepthBinning

if TYPE_CHECKING:
    from bev.data.settings import DataConfig
    from bev.models.detector import DetectorConfig


@dataclass(frozen=True)
class DepthSupervisionConfig(HeadConfig):
    """Settings of :class:`DepthSupervision`.

    Attributes:
        weight: of the depth loss; above 0 training needs lidar files. Depth is evaluated wherever
            it is predicted and there is lidar.
        loss: "bce" as in BEVDepth, "ce" (cross-entropy over bins), or "focal" (the same, with the
            focal factor of exponent 2).
    """

    weight: float = 0.0
    loss: Literal["bce", "ce", "focal"] = "bce"

    @property
    def auxiliary(self) -> bool:
        return True

    def check_model(self, model: "DetectorConfig") -> None:
        if self.weight > 0 and not model.view.predicts_depth:
            raise ConfigError(
                f"model.depth_supervision.weight = {self.weight} supervises depth, and this view"
                " transform predicts none; set it to 0, or choose another view or depth net."
            )

    def check_data(self, model: "DetectorConfig", data: "DataConfig") -> None:
        if self.weight > 0 and not data.lidar:
            raise TrainingError(
                "Depth supervision (model.depth_supervision.weight > 0) needs --data.lidar."
            )

    def build(self, spec: FeatureSpec) -> "DepthSupervision":
        return DepthSupervision(self, spec)


class PredictedDepth(NamedTuple):
    """Depth of one batch.

    Attributes:
        logits: before the softmax; None where no depth is predicted.
        bins: the D depth bins; likewise.
        stride: pixels per feature cell.
    """

    logits: Float[Tensor, "B N h w D"] | None
    bins: DepthBinning | None
    stride: float

    def nearest(self, batch: Batch) -> Float[Tensor, "B N h w"]:
        """The measured depth of each feature cell, see :func:`nearest_depth`."""
        size = tuple(self.logits.shape[2:4])
        return nearest_depth(batch.lidar, batch.views.cameras, batch.image_size, size, self.stride)


class DepthSupervision(Head):
    """Depth logits of the view transform, and their loss against lidar."""

    def __init__(self, config: DepthSupervisionConfig, spec: FeatureSpec) -> None:
        super().__init__()
        self.config, self.bins, self.stride = config, spec.depth, spec.stride

    def forward(self, features: Features) -> PredictedDepth:
        return PredictedDepth(features.depth_logits, self.bins, self.stride)

    def loss(self, output: PredictedDepth, batch: Batch) -> dict[str, Tensor]:
        """The weighted term ``depth``; none where the weight is 0.

        Raises:
            DataError: where no sample carries lidar points.
        """
        if self.config.weight == 0:
            return {}
        if all(len(points) == 0 for points in batch.lidar):
            raise DataError(
                f"Depth supervision needs lidar points, and samples {list(batch.tokens)} carry"
                " none; set --data.lidar, or --model.depth-supervision.weight 0."
            )
        loss = depth_loss(output.logits, output.nearest(batch), output.bins, self.config.loss)
        return {"depth": self.config.weight * loss}

    def averaged(self, output: PredictedDepth, flipped: PredictedDepth) -> PredictedDepth:
        """That of the scene as it is: the flipped images have no common cells with it."""
        return output


@torch.no_grad()
def nearest_depth(
    points: Sequence[Float[Tensor, "_ 3"]],
    cameras: Cameras,
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Float[Tensor, "B N h w"]:
    """Depth (metres) of the nearest lidar point in each feature cell; infinite where none is.

    Args:
        points: one tensor a sample, ego frame.
        cameras: (B, N) cameras.
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; centred in the image where they do not fill it.
        stride: pixels per cell.
    """
    rows, columns = feature_size
    batch, count = cameras.intrinsics.shape[:2]
    nearest = cameras.intrinsics.new_full((batch, count * rows * columns), torch.inf)
    for sample, own in enumerate(points):
        with torch.autocast(own.device.type, enabled=False):
            pixels, depth = cameras[sample].project(own.expand(count, -1, 3))
        cells = feature_cells(pixels, image_size, feature_size, stride)
        column, row = cells.floor().unbind(-1)
        seen = in_view(pixels, depth, image_size)
        seen &= (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        camera, point = seen.nonzero(as_tuple=True)
        row, column = row[camera, point].long(), column[camera, point].long()
        nearest[sample].scatter_reduce_(
            0, (camera * rows + row) * columns + column, depth[camera, point], "amin"
        )
    return nearest.view(batch, count, rows, columns)


def depth_loss(
    depth_logits: Float[Tensor, "B N h w D"],
    nearest: Float[Tensor, "B N h w"],
    bins: DepthBinning,
    kind: str = "bce",
) -> Float[Tensor, ""]:
    """Mean loss over the cells with a lidar point within the bins' range, in float32.

    Args:
        depth_logits: before the softmax.
        nearest: metres, as :func:`nearest_depth` gives it.
        bins: the D depth bins.
        kind: "bce" as in BEVDepth, "ce" or "focal", see ``bev.models.heads.losses.class_loss``.
    """
    index = bins.index_of(nearest)
    known = index >= 0
    logits, target = depth_logits[known].float(), index[known]
    cells = max(len(target), 1)
    with torch.autocast(logits.device.type, enabled=False):
        return class_loss(logits, target, kind) / cells

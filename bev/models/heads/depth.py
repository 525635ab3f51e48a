"""Depth supervision by lidar: the target of a feature cell is the bin of its nearest lidar point.

After Li et al., BEVDepth (2022), section 4.1. This head has no parameters; its output is the depth
logits of the view transform.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bev.bounds import NonNegative
from bev.data.batch import Batch
from bev.errors import ConfigError, DataError, TrainingError
from bev.geometry import Cameras, feature_cells, in_view
from bev.models.heads.base import Features, FeatureSpec, Head, HeadConfig
from bev.models.heads.losses import class_loss, mean_over_processes
from bev.models.view.depth_bins import DepthBinning

if TYPE_CHECKING:
    from bev.data.settings import DataConfig
    from bev.models.detector import DetectorConfig


@dataclass(frozen=True)
class DepthSupervisionConfig(HeadConfig):
    """Settings of :class:`DepthSupervision`.

    Attributes:
        weight: weight of the depth loss; if positive, training needs lidar files. Depth is
            evaluated whenever it is predicted and lidar is available.
        loss: "bce" as in BEVDepth, "ce" for cross-entropy over bins, or "focal" for cross-entropy
            with the focal factor of exponent 2.
    """

    weight: NonNegative = 0.0
    loss: Literal["bce", "ce", "focal"] = "bce"

    @property
    def auxiliary(self) -> bool:
        return True

    def check_model(self, model: "DetectorConfig") -> None:
        if self.weight > 0 and not model.view.predicts_depth:
            raise ConfigError(
                f"model.depth_supervision.weight = {self.weight} supervises depth, but the view"
                " transform predicts none; set the weight to 0, or choose another view or depth"
                " net."
            )

    def check_data(self, model: "DetectorConfig", data: "DataConfig") -> None:
        if self.weight > 0 and not data.lidar:
            raise TrainingError(
                "Depth supervision (model.depth_supervision.weight > 0) needs --data.lidar."
            )

    def build(self, spec: FeatureSpec) -> "DepthSupervision":
        return DepthSupervision(self, spec)


class PredictedDepth(NamedTuple):
    """Predicted depth of one batch.

    Attributes:
        logits: depth logits before the softmax; None if no depth is predicted.
        bins: D depth bins; None if no depth is predicted.
        stride: pixels per feature cell.
    """

    logits: Float[Tensor, "B N h w D"] | None
    bins: DepthBinning | None
    stride: float

    def nearest(self, batch: Batch) -> Float[Tensor, "B N h w"]:
        """Measured depth of each feature cell, see :func:`nearest_depth`.

        Raises:
            ConfigError: if no depth is predicted.
        """
        logits, _ = self.required()
        size = (logits.shape[2], logits.shape[3])
        return nearest_depth(batch.lidar, batch.views.cameras, batch.image_size, size, self.stride)

    def required(self) -> tuple[Float[Tensor, "B N h w D"], DepthBinning]:
        """Logits and depth bins.

        Raises:
            ConfigError: if no depth is predicted.
        """
        if self.logits is None or self.bins is None:
            raise ConfigError(
                "The view transform predicts no depth; choose another view or depth net."
            )
        return self.logits, self.bins


class DepthSupervision(Head):
    """Depth logits of the view transform, with a loss against lidar."""

    def __init__(self, config: DepthSupervisionConfig, spec: FeatureSpec) -> None:
        super().__init__()
        self.config, self.bins, self.stride = config, spec.depth, spec.stride

    def forward(self, features: Features) -> PredictedDepth:
        return PredictedDepth(features.depth_logits, self.bins, self.stride)

    def loss(self, output: PredictedDepth, batch: Batch) -> dict[str, Tensor]:
        """Weighted loss term ``depth``; no term if the weight is 0.

        Raises:
            DataError: if no sample has lidar points.
        """
        if self.config.weight == 0:
            return {}
        if all(len(points) == 0 for points in batch.lidar):
            raise DataError(
                f"Depth supervision needs lidar points, but samples {list(batch.tokens)} have"
                " none; set --data.lidar, or --model.depth-supervision.weight 0."
            )
        logits, bins = output.required()
        loss = depth_loss(logits, output.nearest(batch), bins, self.config.loss)
        return {"depth": self.config.weight * loss}

    def averaged(self, output: PredictedDepth, flipped: PredictedDepth) -> PredictedDepth:
        """Return the output unchanged: cells of the flipped images do not match its cells."""
        return output


@torch.no_grad()
def nearest_depth(
    points: Sequence[Float[Tensor, "_ 3"]],
    cameras: Cameras,
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Float[Tensor, "B N h w"]:
    """Depth (metres) of the nearest lidar point in each feature cell; infinite without any point.

    Args:
        points: lidar points of each sample, ego frame.
        cameras: (B, N) cameras.
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; the feature map is centred in the image if it does not fill it.
        stride: pixels per cell.
    """
    rows, columns = feature_size
    batch, count = cameras.intrinsics.shape[:2]
    nearest = cameras.intrinsics.new_full((batch, count * rows * columns), torch.inf)
    for sample, sample_points in enumerate(points):
        with torch.autocast(sample_points.device.type, enabled=False):
            pixels, depth = cameras[sample].project(sample_points.expand(count, -1, 3))
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
    """Mean loss over the cells with a lidar point within the range of the bins, in float32.

    In distributed training, losses of the processes average to the mean over the cells of all.

    Args:
        depth_logits: depth logits before the softmax.
        nearest: measured depth, metres, from :func:`nearest_depth`.
        bins: D depth bins.
        kind: "bce" as in BEVDepth, "ce" or "focal", see ``bev.models.heads.losses.class_loss``.
    """
    index = bins.index_of(nearest)
    known = index >= 0
    logits, target = depth_logits[known].float(), index[known]
    cells = mean_over_processes(logits.new_tensor(float(len(target)))).clamp(min=1)
    with torch.autocast(logits.device.type, enabled=False):
        return class_loss(logits, target, kind) / cells

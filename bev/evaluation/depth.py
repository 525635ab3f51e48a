"""Errors of predicted depth against lidar."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.evaluation.base import EvaluatedSplit, Evaluator, evaluator
from bev.evaluation.scores import Scores
from bev.models import DepthBinning, DepthSupervisionConfig, DetectorConfig
from bev.models.heads.depth import PredictedDepth


@dataclass(frozen=True)
class DepthErrors:
    """Sums of errors over feature cells that have a lidar point in the range of the depth bins.

    The sums of several batches are added with ``+``.

    Attributes:
        relative: sum of ``|predicted - measured| / measured``.
        squared: sum of (predicted - measured)^2, square metres.
        cells: number of feature cells.
    """

    relative: float = 0.0
    squared: float = 0.0
    cells: int = 0

    def __add__(self, other: "DepthErrors") -> "DepthErrors":
        return DepthErrors(
            self.relative + other.relative, self.squared + other.squared, self.cells + other.cells
        )

    def scalars(self) -> dict[str, float]:
        """Mean absolute relative error and root mean square error (metres), for a logger.

        Empty if there is no measurement.
        """
        if self.cells == 0:
            return {}
        return {
            "depth_abs_rel": self.relative / self.cells,
            "depth_rmse": (self.squared / self.cells) ** 0.5,
        }


@evaluator.register(DepthSupervisionConfig)
class DepthEvaluator(Evaluator):
    """Computes the errors of predicted depth on all batches with lidar."""

    def __init__(
        self, config: DepthSupervisionConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        super().__init__(config, name, model, data)
        self.errors = DepthErrors()

    def update(self, decoded: PredictedDepth, batch: Batch) -> None:
        if (
            decoded.logits is None
            or decoded.bins is None
            or not any(len(points) for points in batch.lidar)
        ):
            return
        self.errors += compare_depth(decoded.logits, decoded.nearest(batch), decoded.bins)

    def state(self) -> DepthErrors:
        return self.errors

    def merge(self, states: Sequence[DepthErrors]) -> None:
        self.errors = sum(states, DepthErrors())

    def compute(self, split: EvaluatedSplit) -> Scores:
        return Scores(self.errors.scalars())


@torch.no_grad()
def compare_depth(
    depth_logits: Float[Tensor, "B N h w D"],
    nearest: Float[Tensor, "B N h w"],
    bins: DepthBinning,
) -> DepthErrors:
    """Compare expected depth with the nearest lidar point in each feature cell.

    The expectation is taken over the softmax of the logits and the bin centres, in float32.

    Args:
        depth_logits: logits of the depth bins.
        nearest: depth of the nearest lidar point, metres; infinite if there is none, see
            ``nearest_depth``.
        bins: the D depth bins.
    """
    known = bins.index_of(nearest) >= 0
    measured = nearest[known]
    with torch.autocast(nearest.device.type, enabled=False):
        probability = depth_logits[known].float().softmax(dim=-1)
        error = (probability * bins.centers(nearest.device)).sum(dim=-1) - measured
    return DepthErrors(
        (error.abs() / measured).sum().item(), error.square().sum().item(), len(measured)
    )

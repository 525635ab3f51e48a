"""One evaluation of a split, for the validation of a training run and for ``bevlab evaluate``.

The idea: an accumulator takes predictions batch by batch, whoever drives the loop (Lightning, or
``bev.evaluation.predict``); those of several processes are brought together; and it is scored once,
at the end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch.distributed

from bev.data.batch import Batch
from bev.data.nuscenes.classes import VEHICLE
from bev.data.nuscenes.index import Index
from bev.errors import DataError
from bev.evaluation.depth import DepthErrors, depth_errors
from bev.evaluation.official import Metrics, evaluate_submission
from bev.evaluation.segmentation import MEAN, RULE, Overlaps, overlaps
from bev.evaluation.submission import submission_rows, write_submission
from bev.evaluation.table import metrics_table
from bev.models import Detector
from bev.models.detector import Prediction


@dataclass(frozen=True)
class Measures:
    """Sums of what is measured beside boxes; those of parts add up."""

    depth: DepthErrors = DepthErrors()
    overlaps: Overlaps = Overlaps()

    def __add__(self, other: "Measures") -> "Measures":
        return Measures(self.depth + other.depth, self.overlaps + other.overlaps)

    def scalars(self) -> dict[str, float]:
        """All figures, for a logger; those that nothing was measured for are left out."""
        return {**self.depth.scalars(), **self.overlaps.scalars()}


@dataclass(frozen=True)
class Result:
    """Metrics and figures of an evaluated split.

    Attributes:
        metrics: official; None without detection.
        figures: the others, by name.
    """

    metrics: Metrics | None
    figures: dict[str, float]

    def scalars(self) -> dict[str, float]:
        """The headline figures, for a logger."""
        return {**(self.metrics.scalars() if self.metrics else {}), **self.figures}

    @property
    def note(self) -> str:
        """Definition of the figures, where it is needed to compare them; else empty."""
        return RULE if MEAN in self.figures else ""

    def text(self) -> str:
        """For a terminal, without a trailing line break."""
        return metrics_table(self.metrics, self.figures)


class Evaluation:
    """Accumulates a detector's predictions of a split, and scores them.

    Depth is measured where batches carry lidar, and IoU where the detector segments.

    Attributes:
        rows: submission rows by sample token.
        measures: sums of what is measured beside boxes.

    Args:
        model: predicts.
        layers: of outlines that the batches carry.
    """

    def __init__(self, model: Detector, layers: Sequence[str]) -> None:
        self.model, self.layers = model, layers
        self.rows: dict[str, list[dict]] = {}
        self.measures = Measures()

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Add the predictions of a batch."""
        self.measures += Measures(
            depth_errors(self.model, prediction.output, batch),
            overlaps(self.model, prediction, batch, self.layers),
        )
        frames = zip(batch.tokens, prediction.boxes, batch.global_from_ego, strict=True)
        for token, boxes, pose in frames:
            self.rows[token] = submission_rows(token, boxes, pose)

    def gather(self) -> None:
        """Bring what all processes found together on the first; does nothing where there is one."""
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        first = distributed.get_rank() == 0
        parts: list | None = [None] * distributed.get_world_size() if first else None
        distributed.gather_object((self.rows, self.measures), parts)
        if parts is not None:
            self.rows = {token: own for rows, _ in parts for token, own in rows.items()}
            self.measures = sum((measures for _, measures in parts), Measures())

    def compute(self, index: Index, split: str, folder: Path, within: float = math.inf) -> Result:
        """Write the predictions of the whole split into a folder, and score them.

        Args:
            index: of the data set.
            split: whose every sample has been predicted.
            folder: takes ``results_nusc.json`` and the devkit's files, and ``segmentation.json``.
            within: of boxes, see ``counted_boxes``.

        Raises:
            DataError: where vehicles were measured and the data set has no annotations.
        """
        measured = self.measures.overlaps.names
        if f"IoU_{VEHICLE}" in measured and not len(index.sample_annotation.category):
            raise DataError(
                f"Version {index.version} has no annotations, so vehicles cannot be scored on split"
                f" {split!r}."
            )
        metrics = None
        if self.model.config.detects:
            path = write_submission(folder / "results_nusc.json", self.rows)
            metrics = evaluate_submission(path, index, split, folder, within)
        if self.model.config.segments:
            self.measures.overlaps.write(folder)
        return Result(metrics, self.measures.scalars())

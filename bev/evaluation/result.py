"""What an evaluation finds: the official metrics where boxes are detected, and figures beside them.

The idea: whatever is measured batch by batch is a sum, so the measures of batches and of processes
add up, and training and ``tools/evaluate.py`` end an evaluation alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bev.data.batch import Batch
from bev.data.nuscenes.classes import VEHICLE
from bev.data.nuscenes.index import Index
from bev.errors import DataError
from bev.evaluation.depth import DepthErrors, depth_errors
from bev.evaluation.official import Metrics, evaluate_submission
from bev.evaluation.segmentation import MEAN, RULE, Overlaps, overlaps
from bev.evaluation.submission import write_submission
from bev.evaluation.table import metrics_table
from bev.models import Detector
from bev.models.detector import Prediction


@dataclass(frozen=True)
class Measures:
    """What is measured beside boxes; those of parts add up."""

    depth: DepthErrors = DepthErrors()
    overlaps: Overlaps = Overlaps()

    def __add__(self, other: "Measures") -> "Measures":
        return Measures(self.depth + other.depth, self.overlaps + other.overlaps)

    def scalars(self) -> dict[str, float]:
        """All figures, for a logger; those that nothing was measured for are left out."""
        return {**self.depth.scalars(), **self.overlaps.scalars()}


def measure(
    model: Detector, prediction: Prediction, batch: Batch, layers: Sequence[str]
) -> Measures:
    """Of one batch; see :func:`depth_errors` and :func:`overlaps`."""
    return Measures(
        depth_errors(model, prediction.output, batch), overlaps(model, prediction, batch, layers)
    )


@dataclass(frozen=True)
class Result:
    """The end of an evaluation.

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
        """What the figures mean, where that must be said to compare them."""
        return RULE if MEAN in self.figures else ""

    def text(self) -> str:
        """For a terminal, without a trailing line break."""
        return metrics_table(self.metrics, self.figures)


def conclude(
    model: Detector,
    rows: dict[str, list[dict]],
    measures: Measures,
    index: Index,
    split: str,
    folder: Path,
    within: float = math.inf,
) -> Result:
    """Write what was found into a folder, and score it.

    Args:
        model: tells whether there are boxes to score.
        rows: submission rows of every sample of the split, by token.
        measures: of the whole split.
        folder: takes ``results_nusc.json`` and the devkit's files, and ``segmentation.json``.
        within: of boxes, see ``counted_boxes``.

    Raises:
        DataError: where vehicles were measured and the data set has no annotations.
    """
    measured = measures.overlaps.names
    if f"IoU_{VEHICLE}" in measured and not len(index.sample_annotation.category):
        raise DataError(
            f"Version {index.version} has no annotations, so vehicles cannot be scored on split"
            f" {split!r}."
        )
    metrics = None
    if model.config.detects:
        path = write_submission(folder / "results_nusc.json", rows)
        metrics = evaluate_submission(path, index, split, folder, within)
    if model.config.segments:
        measures.overlaps.write(folder)
    return Result(metrics, measures.scalars())

"""Evaluator of predicted boxes; the data source chooses the metric.

Scorers of boxes are registered for the settings class of a data source: nuScenes uses the official
metrics (``bev.evaluation.nuscenes.boxes``), all other sources use average precision by centre
distance (``bev.evaluation.center_distance``).
"""

from collections.abc import Mapping, Sequence
from functools import singledispatch
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch
from bev.data.labels import LabelSpace
from bev.data.settings import DataConfig
from bev.data.source import Frames, SourceConfig
from bev.errors import NoGroundTruthError
from bev.evaluation.base import EvaluatedSplit, Evaluator, Resampled, evaluator
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.center_distance import (
    counted_columns,
    match_boxes,
    match_columns,
    read_scores,
    score_boxes,
)
from bev.evaluation.results_file import RESULTS, read_boxes, write_boxes
from bev.evaluation.scores import DETAILS, SUMMARY, Scores
from bev.geometry import Boxes3D
from bev.models import CenterHeadConfig, DetectorConfig, HeadConfig

_MIN_POINTS = 1  # lidar and radar points of boxes that count


class BoxScorer:
    """Scores predicted boxes by centre distance; base class of other scorers.

    Attributes:
        headlines: names of the figures that represent the evaluation; the first one selects the
            best checkpoint.

    Args:
        labels: label space of the boxes.
    """

    headlines: tuple[str, ...] = ("mAP",)

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels

    def record(self, token: str, boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"]) -> Any:
        """Convert the predicted boxes of one sample to the form in which they are accumulated.

        Args:
            token: token of the sample.
            boxes: predicted boxes in the sample's reference ego frame.
            global_from_ego: (4, 4) float64, the reference ego pose.
        """
        return boxes.to("cpu")

    def write(self, records: Mapping[str, Any], split: EvaluatedSplit) -> None:
        """Write the records of all samples of a split to its folder."""
        write_boxes(split.folder / RESULTS, records, self.labels)

    def check(self, frames: Frames, split: str) -> None:
        """Check the ground truth of a split before anything is predicted.

        Args:
            frames: key frames of the split.
            split: name of the split.

        Raises:
            NoGroundTruthError: if no box counts.
            DataError: if the metrics refuse a box.
        """
        tally = frames.tally(_MIN_POINTS)
        if tally is not None and not tally.num_used:
            raise NoGroundTruthError(
                f"No box of split {split!r} counts in the metrics: {tally.why_none()}."
            )

    def compute(self, records: Mapping[str, Any], split: EvaluatedSplit) -> Scores:
        """Score the records of all samples of a split, and write the scores to its folder.

        Raises:
            NoGroundTruthError: if the split has no ground truth.
        """
        result = score_boxes(records, self._gt_boxes(split), self.labels, split.within)
        result.write(split.folder)
        return result.scores

    def read(self, folder: Path) -> Scores:
        """Read the scores that :meth:`compute` wrote to a folder; empty if there are none."""
        return read_scores(folder) if (folder / SUMMARY).is_file() else Scores()

    def resampled(self, split: EvaluatedSplit) -> Resampled:
        """Load the evaluation in a split's folder, for resampling."""
        predicted = read_boxes(split.folder / RESULTS, self.labels)
        matches = match_boxes(predicted, self._gt_boxes(split), self.labels, split.within)
        return Resampled(matches.tokens, matches.names, matches.scores)

    def matched(self, split: EvaluatedSplit) -> MatchedBoxes:
        """Load the boxes of the evaluation in a split's folder, for its breakdown."""
        predicted = read_boxes(split.folder / RESULTS, self.labels)
        counted = counted_columns(predicted, self._gt_boxes(split), self.labels, split.within)
        frames = split.frames()
        scenes = dict(zip(frames.tokens, frames.scenes, strict=True))
        matches = match_columns(*counted, self.labels)
        return MatchedBoxes(matches, *counted, tuple(scenes[token] for token in matches.tokens))

    def _gt_boxes(self, split: EvaluatedSplit) -> dict[str, Boxes3D]:
        frames = split.frames()
        self.check(frames, split.name)
        return {frame.token: frame.boxes[frame.counted(_MIN_POINTS)] for frame in frames}


@singledispatch
def box_scorer(source: SourceConfig, labels: LabelSpace) -> BoxScorer:
    """Create the scorer of boxes for a data source, selected by the class of its settings."""
    return BoxScorer(labels)


@evaluator.register(CenterHeadConfig)
class BoxEvaluator(Evaluator):
    """Evaluator of heads that decode one ``Boxes3D`` per sample.

    Attributes:
        records: accumulated boxes by sample token, see ``BoxScorer.record``.
    """

    of_boxes = True

    def __init__(
        self, config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        super().__init__(config, name, model, data)
        self.scorer = box_scorer(data.source, model.label_space)
        self.headlines = self.scorer.headlines
        self.records: dict[str, Any] = {}

    def check(self, frames: Frames, split: str) -> None:
        self.scorer.check(frames, split)

    def update(self, decoded: Sequence[Boxes3D], batch: Batch) -> None:
        for token, boxes, pose in zip(batch.tokens, decoded, batch.global_from_ego, strict=True):
            self.records[token] = self.scorer.record(token, boxes, pose)

    def state(self) -> dict[str, Any]:
        return self.records

    def merge(self, states: Sequence[dict[str, Any]]) -> None:
        self.records = {token: record for state in states for token, record in state.items()}

    def clear(self, folder: Path) -> None:
        for name in (SUMMARY, DETAILS):
            (folder / name).unlink(missing_ok=True)

    def write(self, split: EvaluatedSplit) -> None:
        self.scorer.write(self.records, split)

    def compute(self, split: EvaluatedSplit) -> Scores:
        return self.scorer.compute(self.records, split)

    def read(self, folder: Path) -> Scores:
        return self.scorer.read(folder)

    def resampled(self, split: EvaluatedSplit) -> Resampled:
        return self.scorer.resampled(split)

    def matched(self, split: EvaluatedSplit) -> MatchedBoxes:
        return self.scorer.matched(split)

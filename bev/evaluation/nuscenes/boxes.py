"""Official metrics for boxes of nuScenes and of data in its format."""

from collections.abc import Mapping
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bev.data.checks.annotations import check_scorable
from bev.data.labels import LabelSpace
from bev.data.nuscenes.frames import IndexFrames
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.source import NuScenes, NuScenesConfig
from bev.data.source import Frames
from bev.errors import DataError
from bev.evaluation.base import EvaluatedSplit, Resampled
from bev.evaluation.boxes import BoxScorer, box_scorer
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.nuscenes.matched import matched_boxes
from bev.evaluation.nuscenes.official import (
    SUBMISSION,
    counted_boxes,
    evaluate_submission,
    match,
    read_metrics,
)
from bev.evaluation.nuscenes.submission import submission_rows, write_submission
from bev.evaluation.scores import SUMMARY, Scores
from bev.geometry import Boxes3D


class OfficialScorer(BoxScorer):
    """Official metrics; writes ``results_nusc.json`` and the files of the devkit."""

    headlines = ("NDS", "mAP")

    def record(
        self, token: str, boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"]
    ) -> list[dict]:
        return submission_rows(token, boxes, global_from_ego)

    def write(self, records: Mapping[str, list[dict]], split: EvaluatedSplit) -> None:
        write_submission(split.folder / SUBMISSION, records)

    def check(self, frames: Frames, split: str) -> None:
        if isinstance(frames, IndexFrames):
            check_scorable(frames.tables, frames.rows, f"split {split!r}")

    def compute(self, records: Mapping[str, list[dict]], split: EvaluatedSplit) -> Scores:
        path, index = split.folder / SUBMISSION, _index(split)
        return evaluate_submission(path, index, split.samples, split.folder, split.within).scores()

    def read(self, folder: Path) -> Scores:
        return read_metrics(folder).scores() if (folder / SUMMARY).is_file() else Scores()

    def resampled(self, split: EvaluatedSplit) -> Resampled:
        path = split.folder / SUBMISSION
        matches = match(counted_boxes(path, _index(split), split.samples, split.within))
        return Resampled(matches.tokens, matches.names, matches.scores)

    def matched(self, split: EvaluatedSplit) -> MatchedBoxes:
        path, index = split.folder / SUBMISSION, _index(split)
        return matched_boxes(counted_boxes(path, index, split.samples, split.within), index)


def _index(split: EvaluatedSplit) -> Index:
    if not isinstance(split.source, NuScenes):
        raise DataError(
            f"The official metrics need data in nuScenes' format; {type(split.source).__name__} is"
            " another source."
        )
    return split.source.index


@box_scorer.register
def _(source: NuScenesConfig, labels: LabelSpace) -> OfficialScorer:
    return OfficialScorer(labels)

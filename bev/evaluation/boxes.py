"""The evaluation of predicted boxes: accumulated by sample, scored as their data source is.

How a source's boxes are scored is registered for the class of its settings: nuScenes has the
official metrics (``bev.evaluation.nuscenes.boxes``), any other source average precision by centre
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
from bev.data.source import SourceConfig
from bev.errors import DataError
from bev.evaluation.base import EvaluatedSplit, Evaluator, Resampled, evaluator
from bev.evaluation.center_distance import match_boxes, read_scores, score_boxes
from bev.evaluation.results_file import RESULTS, read_boxes, write_boxes
from bev.evaluation.scores import SUMMARY, Scores
from bev.geometry import Boxes3D
from bev.models import CenterHeadConfig, DetectorConfig, HeadConfig


class BoxScorer:
    """Scores predicted boxes by the distance of centres; base of other ways.

    Attributes:
        headlines: the figures that stand for all, the deciding one first.

    Args:
        labels: the label space of boxes.
    """

    headlines: tuple[str, ...] = ("mAP",)

    def __init__(self, labels: LabelSpace) -> None:
        self.labels = labels

    def record(self, token: str, boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"]) -> Any:
        """The predicted boxes of one sample as they are kept.

        Args:
            token: of the sample.
            boxes: in the sample's reference ego frame.
            global_from_ego: (4, 4) float64, the reference ego pose.
        """
        return boxes.to("cpu")

    def compute(self, records: Mapping[str, Any], split: EvaluatedSplit) -> Scores:
        """Score the records of every sample of a split, and leave files in its folder.

        Raises:
            DataError: where the split has no ground truth.
        """
        write_boxes(split.folder / RESULTS, records, self.labels)
        found = score_boxes(records, self._gt_boxes(split), self.labels, split.within)
        found.write(split.folder)
        return found.scores

    def read(self, folder: Path) -> Scores:
        """The scores that :meth:`compute` left in a folder; empty where it left none."""
        return read_scores(folder) if (folder / SUMMARY).is_file() else Scores()

    def resampled(self, split: EvaluatedSplit) -> Resampled:
        """The evaluation that was left in a split's folder."""
        predicted = read_boxes(split.folder / RESULTS, self.labels)
        matches = match_boxes(predicted, self._gt_boxes(split), self.labels, split.within)
        return Resampled(matches.tokens, matches.names, matches.scores)

    def _gt_boxes(self, split: EvaluatedSplit) -> dict[str, Boxes3D]:
        if not split.source.annotated:
            raise DataError(
                f"The data in {split.source.data.root} have no annotations, so boxes cannot be"
                f" scored on split {split.name!r}."
            )
        frames = split.source.frames(split.name)
        return {frame.token: frame.boxes[frame.counted(1)] for frame in frames}


@singledispatch
def box_scorer(source: SourceConfig, labels: LabelSpace) -> BoxScorer:
    """How the boxes of a data source are scored, chosen by the class of its settings."""
    return BoxScorer(labels)


@evaluator.register(CenterHeadConfig)
class BoxEvaluator(Evaluator):
    """Evaluates the boxes of a head, which it decodes into one ``Boxes3D`` a sample.

    Attributes:
        records: of each sample, by token, see ``BoxScorer.record``.
    """

    of_boxes = True

    def __init__(
        self, config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        super().__init__(config, name, model, data)
        self.scorer = box_scorer(data.source, model.labels)
        self.headlines = self.scorer.headlines
        self.records: dict[str, Any] = {}

    def update(self, decoded: Sequence[Boxes3D], batch: Batch) -> None:
        for token, boxes, pose in zip(batch.tokens, decoded, batch.global_from_ego, strict=True):
            self.records[token] = self.scorer.record(token, boxes, pose)

    def state(self) -> dict[str, Any]:
        return self.records

    def merge(self, states: Sequence[dict[str, Any]]) -> None:
        self.records = {token: own for state in states for token, own in state.items()}

    def compute(self, split: EvaluatedSplit) -> Scores:
        return self.scorer.compute(self.records, split)

    def read(self, folder: Path) -> Scores:
        return self.scorer.read(folder)

    def resampled(self, split: EvaluatedSplit) -> Resampled:
        return self.scorer.resampled(split)

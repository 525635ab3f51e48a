"""Official nuScenes detection metrics, equal to the devkit's to the last digit.

Matching, filtering, averaging and the written files follow the devkit (``detection_cvpr_2019``).
Splits and the ranges of classes are read from its installed files, the other settings are checked
against them by the tests. Its code is not imported: the import
alone takes seconds, its loading keeps all tables in memory, and it computes one pair of boxes at a
time. Neither is torch. The tests compare every figure with the devkit's.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bev.data.checks.annotations import check_scorable
from bev.data.nuscenes.classes import CLASSES, NUSCENES
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.splits import devkit_file, official_scenes, split_rows
from bev.errors import DataError, SubmissionError
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matches import Matches, match_classes
from bev.evaluation.detection.metrics import ERROR_NAMES
from bev.evaluation.nuscenes.ground_truth import counted, gt_boxes_of
from bev.evaluation.nuscenes.results import read_results
from bev.evaluation.scores import EVALUATE_AGAIN, SUMMARY, Scores, write_scores
from bev.plain_json import read_json

SUBMISSION = "results_nusc.json"


@dataclass(frozen=True)
class Metrics:
    """Official metrics of one evaluation.

    Attributes:
        mean_ap: mAP over the ten classes and four distance thresholds, 0 to 1.
        nd_score: nuScenes detection score (NDS), 0 to 1.
        trans_err: mATE, metres.
        scale_err: mASE, 1 - IoU of aligned boxes.
        orient_err: mAOE, radians.
        vel_err: mAVE, metres per second.
        attr_err: mAAE, 1 - accuracy.
        class_ap: AP by class, the mean over distance thresholds; 0 if the class is absent.
        class_errors: the five errors by class, with the names of the devkit; 1 if nothing was
            detected, NaN if the error is not defined for the class.
        num_gt: number of ground-truth boxes that count, by class; empty if read from a file.
    """

    mean_ap: float
    nd_score: float
    trans_err: float
    scale_err: float
    orient_err: float
    vel_err: float
    attr_err: float
    class_ap: dict[str, float]
    class_errors: dict[str, dict[str, float]]
    num_gt: dict[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def from_summary(cls, summary: dict) -> "Metrics":
        """Create from the content of a ``metrics_summary.json`` of the devkit or of bevlab."""
        errors: dict[str, Any] = {n: float(summary["tp_errors"][n]) for n in ERROR_NAMES}
        return cls(
            mean_ap=float(summary["mean_ap"]),
            nd_score=float(summary["nd_score"]),
            **errors,
            class_ap={name: float(summary["mean_dist_aps"][name]) for name in CLASSES},
            class_errors={
                name: {
                    error: float(summary["label_tp_errors"][name][error]) for error in ERROR_NAMES
                }
                for name in CLASSES
            },
        )

    def scores(self) -> Scores:
        """Return the headline figures, and AP and errors of each class, named as in papers."""
        errors = {f"m{paper}": getattr(self, name) for name, paper in ERROR_NAMES.items()}
        classes = {
            name: {"AP": ap}
            | {paper: self.class_errors[name][err] for err, paper in ERROR_NAMES.items()}
            for name, ap in self.class_ap.items()
        }
        figures = {"mAP": self.mean_ap, "NDS": self.nd_score, **errors}
        return Scores(figures, classes, num_gt=self.num_gt)


class CountedBoxes(NamedTuple):
    """Boxes that count in an evaluation.

    Attributes:
        predicted, gt_boxes: boxes in the global frame.
        config: settings of the devkit, ``class_range`` in the order of its means over classes.
        meta: ``meta`` entry of the results file.
    """

    predicted: BoxColumns
    gt_boxes: BoxColumns
    config: dict[str, Any]
    meta: dict


def counted_boxes(
    path: Path | str, index: Index, samples: str | Sequence[str], within: float = math.inf
) -> CountedBoxes:
    """Load the predicted and the ground-truth boxes that count in the official metrics.

    Other samples in the results file are ignored.

    Args:
        path: results file, see ``write_submission``.
        index: opened index of the data set, of any version.
        samples: name of a split, official or in the version's ``splits.json``; or sample tokens, in
            any order.
        within: maximum distance from the ego vehicle, metres; boxes farther away do not count. The
            official range of each class (30 to 50 m) applies as well.

    Raises:
        SubmissionError: if the file is not a submission, lacks samples, or contains rows that the
            metrics cannot score, see ``bev.evaluation.nuscenes.rows``.
        NoGroundTruthError: if no annotation of the samples counts.
        DataError: if the split or a token is unknown, no sample is given, or the metrics refuse an
            attribute.
    """
    if isinstance(samples, str):
        name, by_file = f"split {samples!r}", samples in official_scenes()
        rows = np.unique(split_rows(index, samples)).tolist()
    else:
        name, by_file = "the samples asked for", False
        rows = np.unique(index.rows_of(samples)).tolist()
    if not rows:
        raise DataError(
            f"There is no sample to evaluate {path} on; name a split or at least one token."
        )
    check_scorable(index, np.array(rows), name, str(path))
    settings = devkit_file("eval", "detection", "configs", "detection_cvpr_2019.json")
    config = json.loads(settings.read_bytes())
    config["class_range"] = {
        label: min(far, within) for label, far in config["class_range"].items()
    }
    tokens = [index.token_of(row) for row in rows]
    predicted, meta = read_results(path, frozenset(tokens))
    present = {*predicted.tokens}
    missing = [token for token in tokens if token not in present]
    if missing:
        raise SubmissionError(
            f"{path} lacks {len(missing)} of the {len(tokens)} samples of {name}, the first is"
            f" {missing[0]}; give an entry for every sample, an empty list if nothing was detected."
        )
    # Equal scores are ranked by the order of the samples. As in the devkit, this is the order of
    # the file for official splits and that of the table for others; the figures agree exactly.
    if not by_file:
        predicted = predicted.numbered(tuple(tokens))
        predicted = predicted.take(np.argsort(predicted.sample, kind="stable"))
    predicted, gt_boxes = (
        counted(index, boxes, config["class_range"])
        for boxes in (predicted, gt_boxes_of(index, rows))
    )
    return CountedBoxes(predicted, gt_boxes, config, meta)


def match(boxes: CountedBoxes) -> Matches:
    """Match the detections of a results file as in the nuScenes metrics, for mAP and NDS."""
    kinds = [NUSCENES.classes[CLASSES.index(name)] for name in boxes.config["class_range"]]
    return match_classes(boxes.predicted, boxes.gt_boxes, kinds, ("mAP", "NDS"))


def evaluate_submission(
    path: Path | str,
    index: Index,
    samples: str | Sequence[str],
    out_dir: Path | str,
    within: float = math.inf,
) -> Metrics:
    """Evaluate a results file with the official metrics (``detection_cvpr_2019``).

    See :func:`counted_boxes` for the arguments and the errors raised, and :func:`score` for the
    files that are written.
    """
    return score(counted_boxes(path, index, samples, within), out_dir)


def score(boxes: CountedBoxes, out_dir: Path | str) -> Metrics:
    """Compute the official metrics of boxes.

    Writes ``metrics_summary.json`` and ``metrics_details.json`` (names and formats of the devkit)
    to ``out_dir``, which is created if needed; prints nothing.
    """
    begin = time.time()
    matches = match(boxes)
    metrics = matches.metrics(np.ones(len(matches.tokens), dtype=int))
    summary = {
        **metrics.summary(),
        "tp_scores": metrics.error_scores,
        "nd_score": metrics.nd_score,
        "eval_time": time.time() - begin,
        "cfg": boxes.config,
        "meta": boxes.meta,
    }
    write_scores(Path(out_dir), summary, matches.details())
    return replace(Metrics.from_summary(summary), num_gt=matches.num_gt)


def read_metrics(out_dir: Path | str) -> Metrics:
    """Read the metrics that an evaluation wrote to ``out_dir``."""
    path = Path(out_dir) / SUMMARY
    return read_json(path, Metrics.from_summary, SubmissionError, EVALUATE_AGAIN)

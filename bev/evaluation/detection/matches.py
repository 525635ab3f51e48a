"""Matches of detections with ground truth, computed once for fast scoring of any resample.

The matching of the nuScenes metrics (Caesar et al. 2020, section 3) is greedy by score and handles
each sample separately, so whether a detection is a hit depends on its own sample alone. On a
resampled set, in which a sample occurs several times, only the ranking by score and the counts
change: each detection is repeated as often as its sample. The figures equal those of the devkit on
a data set with these copies, but for any classes; the devkit supports its own ten only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bev.data.labels import ObjectClass
from bev.evaluation.detection.arithmetic import running_mean
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matching import errors_of, matches_at, pairs_within, ranking
from bev.evaluation.detection.metrics import (
    DISTANCES,
    ERROR_DISTANCE,
    ERRORS,
    DetectionMetrics,
    average_precision,
    true_positive_error,
)

_FIGURES = {"mAP": "mean_ap", "NDS": "nd_score"}  # -> attribute of ``DetectionMetrics``
_RECALL = np.linspace(0, 1, 101)
# The devkit's order of the curves in its file of details.
_CURVES = ("recall", "precision", "confidence", "trans_err", "vel_err", "scale_err", "orient_err",
           "attr_err")  # fmt: skip


def meaningful(kind: ObjectClass) -> tuple[str, ...]:
    """Return the errors that are defined for a class, as in the devkit for its own classes."""
    without = {
        "orient_err": kind.heading == "none",
        "vel_err": not kind.moves,
        "attr_err": not kind.attributes,
    }
    return tuple(name for name in ERRORS if not without.get(name, False))


@dataclass(frozen=True)
class ClassMatches:
    """Matches of one class: K detections, best score first, over S samples.

    Attributes:
        row: (K,) index of each detection among the predicted boxes of all classes.
        sample: (K,) index of the sample of each detection.
        score: (K,) score of each detection.
        gt_row: (T, K) index of the ground-truth box that the detection matches, among those of all
            classes, for each distance threshold; -1 if it matches none.
        errors: errors by their devkit name: for each threshold the errors of its hits, in the order
            of the detections; NaN where an error is unknown.
        num_gt: (S,) number of ground-truth boxes of the class in each sample.
    """

    row: np.ndarray
    sample: np.ndarray
    score: np.ndarray
    gt_row: np.ndarray
    errors: Mapping[str, Sequence[np.ndarray]]
    num_gt: np.ndarray

    @cached_property
    def hits(self) -> np.ndarray:
        """(T, K) whether the detection matches a ground-truth box, for each distance threshold."""
        return self.gt_row >= 0


@dataclass(frozen=True)
class Matches:
    """Matches of all classes.

    Attributes:
        tokens: tokens of the S samples, sorted.
        kinds: the classes.
        classes: matches by class name, in the order of ``kinds``.
        names: names of the figures of :meth:`scores`.
        errors: names of the errors for which ground truth exists; the others are NaN for every
            class.
    """

    tokens: tuple[str, ...]
    kinds: tuple[ObjectClass, ...]
    classes: dict[str, ClassMatches]
    names: tuple[str, ...] = ("mAP",)
    errors: tuple[str, ...] = ERRORS

    @property
    def num_gt(self) -> dict[str, int]:
        """Number of ground-truth boxes of each class."""
        return {name: int(one.num_gt.sum()) for name, one in self.classes.items()}

    def scores(self, weights: np.ndarray) -> tuple[float, ...]:
        """Compute the figures ``names`` with (S,) ``weights`` copies of the samples."""
        metrics = self.metrics(weights)
        return tuple(getattr(metrics, _FIGURES[name]) for name in self.names)

    def metrics(self, weights: np.ndarray) -> DetectionMetrics:
        """Compute the metrics of a data set with (S,) ``weights`` copies of each sample.

        As in the devkit, a class without ground truth has AP 0 and errors 1, and an error is 1 if a
        class has too few hits; it is NaN if it is not defined for the class.
        """
        aps: dict[str, dict[float, float]] = {}
        errors: dict[str, dict[str, float]] = {}
        for kind in self.kinds:
            resampled = resample(self.classes[kind.name], weights)
            aps[kind.name] = {
                at: average_precision(precision)
                for at, precision in zip(DISTANCES, resampled.precision, strict=True)
            }
            curves, defined = resampled.curves(ERROR_DISTANCE), {*meaningful(kind)} & {*self.errors}
            errors[kind.name] = {
                error: true_positive_error(curves["confidence"], curves[error])
                if error in defined
                else np.nan
                for error in ERRORS
            }
        return DetectionMetrics(aps, errors)

    def details(self) -> dict[str, dict[str, list[float]]]:
        """The curves of each ``class:distance`` of the data set itself, as in the devkit's file.

        The keys of one are recall, precision, confidence and the names of the errors.
        """
        once, found = np.ones(len(self.tokens), dtype=int), {}
        for kind in self.kinds:
            resampled = resample(self.classes[kind.name], once)
            for at in DISTANCES:
                curves = resampled.curves(at)
                found[f"{kind.name}:{at}"] = {key: curves[key].tolist() for key in _CURVES}
        return found


@dataclass(frozen=True)
class Resampled:
    """Matches of a class on a resampled data set; R detections, best score first.

    Attributes:
        matches: matches on the original data set.
        rows: (R,) indices into the detections of ``matches``.
        recall: (T, R) recall after each detection, for each distance threshold.
        precision: (T, 101) precision at recalls 0 to 1.
    """

    matches: ClassMatches
    rows: np.ndarray
    recall: np.ndarray
    precision: np.ndarray

    def curves(self, distance: float) -> dict[str, np.ndarray]:
        """Return the curves at one of ``DISTANCES``.

        Returns:
            Recall 0 to 1, and precision, confidence and errors at these recalls.
        """
        threshold = DISTANCES.index(distance)
        is_hit = self.matches.hits[threshold]
        hits = self.rows[is_hit[self.rows]]
        if not len(hits):
            flat = {"precision": np.zeros(101), "confidence": np.zeros(101)}
            return {"recall": _RECALL, **flat} | {name: np.ones(101) for name in ERRORS}
        score = np.interp(_RECALL, self.recall[threshold], self.matches.score[self.rows], right=0)
        hit_score = self.matches.score[hits][::-1]
        curves = {"recall": _RECALL, "precision": self.precision[threshold], "confidence": score}
        place = (is_hit.cumsum() - 1)[hits]
        for name, values in self.matches.errors.items():
            mean = running_mean(values[threshold][place])
            # Interpolated over confidence as in the devkit; np.interp needs ascending values.
            curves[name] = np.interp(score[::-1], hit_score, mean[::-1])[::-1]
        return curves


def resample(matches: ClassMatches, weights: np.ndarray) -> Resampled:
    """Weight each sample's detections and ground truth of a class by (S,) ``weights``."""
    rows = np.repeat(np.arange(len(matches.sample)), weights[matches.sample])
    hits = matches.hits[:, rows].cumsum(axis=1)
    num_gt = int(weights @ matches.num_gt)
    if not num_gt:  # as in the devkit: without ground truth, detections are ignored
        rows, hits = rows[:0], hits[:, :0]
    recall = hits / max(num_gt, 1)
    precision = hits / np.arange(1, len(rows) + 1)
    interpolated = np.zeros((len(hits), len(_RECALL)))
    for row, (x, y) in enumerate(zip(recall, precision, strict=True)):
        if len(x) and x[-1] > 0:
            interpolated[row] = np.interp(_RECALL, x, y, right=0)
    return Resampled(matches, rows, recall, interpolated)


def match_classes(
    predicted: BoxColumns,
    gt_boxes: BoxColumns,
    kinds: Sequence[ObjectClass],
    names: tuple[str, ...] = ("mAP",),
    errors: tuple[str, ...] = ERRORS,
) -> Matches:
    """Match predicted boxes with ground truth of the same sample and class.

    Args:
        predicted: predicted boxes; among equal scores the later one ranks first, as in the devkit.
        gt_boxes: ground-truth boxes of the same samples, in the same frame as the predicted boxes;
            its ``tokens`` are all samples, with and without boxes.
        kinds: classes of all boxes; means over classes are taken in this order.
        names, errors: see :class:`Matches`.

    Rows of the matches are indices into ``predicted`` and ``gt_boxes``, in their given order.
    """
    tokens = tuple(sorted(gt_boxes.tokens))
    predicted, gt_boxes = (boxes.numbered(tokens) for boxes in (predicted, gt_boxes))
    classes = {kind.name: _match_class(predicted, gt_boxes, kind) for kind in kinds}
    return Matches(tokens, tuple(kinds), classes, names, errors)


def _match_class(predicted: BoxColumns, gt_boxes: BoxColumns, kind: ObjectClass) -> ClassMatches:
    rows, gt_rows = (
        np.flatnonzero(boxes.label == boxes.names.index(kind.name))
        for boxes in (predicted, gt_boxes)
    )
    rows = rows[ranking(predicted.score[rows])]
    predicted, gt_boxes = predicted.take(rows), gt_boxes.take(gt_rows)
    matched = np.full((len(DISTANCES), len(rows)), -1)
    errors: dict[str, list[np.ndarray]] = {name: [] for name in ERRORS}
    found = matches_at(pairs_within(predicted, gt_boxes, max(DISTANCES)))
    for at, (detection, gt_box, distance) in enumerate(found):
        matched[at, detection] = gt_rows[gt_box]
        pairs = predicted.take(detection), gt_boxes.take(gt_box)
        for name, values in errors_of(*pairs, distance, kind).items():
            errors[name].append(values)
    count = np.bincount(gt_boxes.sample, minlength=len(gt_boxes.tokens))
    return ClassMatches(rows, predicted.sample, predicted.score, matched, errors, count)

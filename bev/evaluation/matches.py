"""Matches of detections with ground truth, computed once for fast scoring of any resample.

The matching of the nuScenes metrics (Caesar et al. 2020, section 3) is greedy by score and handles
each sample separately, so whether a detection is a hit depends on its own sample alone. On a
resampled set, in which a sample occurs several times, only the ranking by score and the counts
change: each detection is repeated as often as its sample. The figures equal those of the devkit on
a data set with these copies, but for any classes; the devkit supports its own ten only.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple, TypeAlias

import numpy as np
from nuscenes.eval.common.utils import attr_acc, scale_iou, velocity_l2, yaw_diff
from nuscenes.eval.detection.algo import calc_ap, calc_tp
from nuscenes.eval.detection.constants import TP_METRICS
from nuscenes.eval.detection.data_classes import DetectionBox, DetectionMetricData, DetectionMetrics

from bev.data.labels import ObjectClass

# Settings of ``detection_cvpr_2019`` in the devkit.
DISTANCES = (0.5, 1.0, 2.0, 4.0)  # a hit is closer than this to its ground truth, metres
ERROR_DISTANCE = 2.0  # errors are computed on the hits of this threshold, metres
MIN_RECALL = MIN_PRECISION = 0.1

ERRORS = tuple(TP_METRICS)
"""True-positive errors: translation, scale, heading, velocity and attribute."""

_FIGURES = {"mAP": "mean_ap", "NDS": "nd_score"}  # -> attribute of ``DetectionMetrics``
_NO_PREDICTIONS = vars(DetectionMetricData.no_predictions())
_RECALL = _NO_PREDICTIONS["recall"]


class Box(NamedTuple):
    """Box of any class, with the attributes of a ``DetectionBox`` that its metrics use.

    The centre, the quaternion (w, x, y, z) and the velocity (NaN where unknown) are in any frame
    that the boxes of a sample share; the size is (width, length, height); an empty attribute name
    stands for no attribute.
    """

    sample_token: str
    translation: tuple[float, float, float]
    size: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    velocity: tuple[float, float]
    detection_name: str
    detection_score: float
    attribute_name: str


AnyBox: TypeAlias = Box | DetectionBox


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
        sample: (K,) index of the sample of each detection.
        score: (K,) score of each detection.
        hits: (T, K) whether the detection matches a ground-truth box, for each distance threshold.
        errors: (T, K) errors by their devkit name; NaN if the detection is no hit or the error is
            unknown.
        num_gt: (S,) number of ground-truth boxes of the class in each sample.
    """

    sample: np.ndarray
    score: np.ndarray
    hits: np.ndarray
    errors: dict[str, np.ndarray]
    num_gt: np.ndarray


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

    def scores(self, weights: np.ndarray) -> tuple[float, ...]:
        """Compute the figures ``names`` with (S,) ``weights`` copies of the samples."""
        metrics = self.metrics(weights)
        return tuple(getattr(metrics, _FIGURES[name]) for name in self.names)

    def metrics(self, weights: np.ndarray) -> DetectionMetrics:
        """Compute the devkit's metrics of a data set with (S,) ``weights`` copies of each sample.

        The ``cfg`` of the metrics contains no more than the classes. As in the devkit, a class
        without ground truth has AP 0 and errors 1, and an error is 1 if a class has too few hits;
        it is NaN if it is not defined for the class.
        """
        names = [kind.name for kind in self.kinds]
        metrics = DetectionMetrics(SimpleNamespace(class_names=names, mean_ap_weight=5))
        for kind in self.kinds:
            resampled = resample(self.classes[kind.name], weights)
            for threshold, precision in zip(DISTANCES, resampled.precision, strict=True):
                ap = calc_ap(SimpleNamespace(precision=precision), MIN_RECALL, MIN_PRECISION)
                metrics.add_label_ap(kind.name, threshold, ap)
            curves, defined = resampled.curves(ERROR_DISTANCE), {*meaningful(kind)} & {*self.errors}
            reached = np.flatnonzero(curves["confidence"])
            data = SimpleNamespace(max_recall_ind=reached[-1] if len(reached) else 0, **curves)
            for error in ERRORS:
                value = calc_tp(data, MIN_RECALL, error) if error in defined else np.nan
                metrics.add_label_tp(kind.name, error, value)
        return metrics


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
        hits = self.rows[self.matches.hits[threshold, self.rows]]
        if not len(hits):
            return _NO_PREDICTIONS
        score = np.interp(_RECALL, self.recall[threshold], self.matches.score[self.rows], right=0)
        hit_score = self.matches.score[hits][::-1]
        precision = self.precision[threshold]
        curves = {"recall": _RECALL, "precision": precision, "confidence": score}
        for name, values in self.matches.errors.items():
            mean = _running_mean(values[threshold, hits])
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


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Cumulative mean ignoring NaN; 1 if all values are NaN, 0 before the first other value."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    return np.where(known, values, 0).cumsum() / np.maximum(known.cumsum(), 1)


def match_classes(
    predicted: Iterable[AnyBox],
    gt_boxes: Iterable[AnyBox],
    tokens: Iterable[str],
    kinds: Sequence[ObjectClass],
    names: tuple[str, ...] = ("mAP",),
    errors: tuple[str, ...] = ERRORS,
) -> Matches:
    """Match predicted boxes with ground truth of the same sample and class.

    Args:
        predicted: predicted boxes; among equal scores the later one ranks first, as in the devkit.
        gt_boxes: ground-truth boxes of the same samples, in the same frame as the predicted boxes.
        tokens: tokens of all samples, with and without boxes.
        kinds: classes of all boxes; means over classes are taken in this order.
        names, errors: see :class:`Matches`.
    """
    tokens = tuple(sorted(tokens))
    place = {token: number for number, token in enumerate(tokens)}
    detections: dict[str, list[AnyBox]] = defaultdict(list)
    annotations: dict[str, dict[str, list[AnyBox]]] = defaultdict(lambda: defaultdict(list))
    for box in predicted:
        detections[box.detection_name].append(box)
    for box in gt_boxes:
        annotations[box.detection_name][box.sample_token].append(box)
    classes = {
        k.name: _match_class(detections[k.name], annotations[k.name], place, k) for k in kinds
    }
    return Matches(tokens, tuple(kinds), classes, names, errors)


def _match_class(
    predicted: Sequence[AnyBox],
    gt_boxes: dict[str, list[AnyBox]],
    place: dict[str, int],
    kind: ObjectClass,
) -> ClassMatches:
    scores = [box.detection_score for box in predicted]
    order = ranking(scores)
    predicted = [predicted[i] for i in order]
    hits = np.zeros((len(DISTANCES), len(order)), dtype=bool)
    errors = {name: np.full(hits.shape, np.nan) for name in ERRORS}
    ranks = defaultdict(list)  # by sample token
    for rank, box in enumerate(predicted):
        ranks[box.sample_token].append(rank)
    for token, sample_ranks in ranks.items():
        annotated = gt_boxes.get(token)
        if not annotated:
            continue
        centers = np.array([predicted[rank].translation[:2] for rank in sample_ranks])
        distance = np.linalg.norm(
            centers[:, None] - np.array([box.translation[:2] for box in annotated])[None], axis=-1
        )
        pairs: dict[tuple[int, int], dict[str, float]] = {}  # most recur at every threshold
        for row, threshold in enumerate(DISTANCES):
            for pair in greedy(distance, threshold):
                rank, nearest = sample_ranks[pair[0]], pair[1]
                if pair not in pairs:
                    pairs[pair] = _errors(predicted[rank], annotated[nearest], distance[pair], kind)
                hits[row, rank] = True
                for name, value in pairs[pair].items():
                    errors[name][row, rank] = value
    count = np.zeros(len(place), dtype=np.int64)
    for token, annotated in gt_boxes.items():
        count[place[token]] = len(annotated)
    sample = np.array([place[box.sample_token] for box in predicted], dtype=np.int64)
    return ClassMatches(sample, np.array(scores)[order], hits, errors, count)


def ranking(scores: Sequence[float]) -> list[int]:
    """Rank like the devkit: indices by descending score, among equal scores the later one first."""
    return sorted(range(len(scores)), key=lambda i: (scores[i], i), reverse=True)


def greedy(distance: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Match detections greedily: each takes the nearest ground-truth box that is still unmatched.

    Args:
        distance: (D, G) distances between detections (best score first) and ground-truth boxes.
        threshold: matches are closer than this.

    Returns:
        Pairs of indices (detection, ground-truth box).
    """
    left, pairs = distance.copy(), []
    for rank in np.flatnonzero((distance < threshold).any(axis=1)):
        nearest = int(left[rank].argmin())
        if left[rank, nearest] < threshold:
            left[:, nearest] = np.inf
            pairs.append((int(rank), nearest))
    return pairs


def _errors(box: AnyBox, gt_box: AnyBox, distance: float, kind: ObjectClass) -> dict[str, float]:
    period = np.pi if kind.heading == "axis" else 2 * np.pi
    return {
        "trans_err": distance,
        "vel_err": velocity_l2(gt_box, box),
        "scale_err": 1 - scale_iou(gt_box, box),
        "orient_err": yaw_diff(gt_box, box, period=period),
        "attr_err": 1 - attr_acc(gt_box, box),
    }

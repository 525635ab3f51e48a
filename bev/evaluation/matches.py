"""Matches of detections with ground truth: made once, so that every figure of any resample is fast.

The idea: the matching of nuScenes' metrics (Caesar et al. 2020, section 3) is greedy by score and
looks at one sample at a time, so whether a detection is a hit depends on its own sample alone. On a
resampled set, in which a sample stands several times, only the ranking by score and the counts
change: each detection is repeated as often as its sample. The figures are those that the devkit
gives for a data set of so many copies, for any classes: it knows its own ten by name alone.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from nuscenes.eval.common.utils import attr_acc, scale_iou, velocity_l2, yaw_diff
from nuscenes.eval.detection.algo import calc_ap, calc_tp
from nuscenes.eval.detection.constants import TP_METRICS
from nuscenes.eval.detection.data_classes import DetectionBox, DetectionMetricData, DetectionMetrics

from bev.data.labels import ObjectClass

# Settings of the devkit's ``detection_cvpr_2019``.
DISTANCES = (0.5, 1.0, 2.0, 4.0)  # metres between centres, below which a detection is a hit
ERROR_DISTANCE = 2.0  # of the hits whose errors count
MIN_RECALL = MIN_PRECISION = 0.1

ERRORS = tuple(TP_METRICS)
"""True-positive errors: of translation, scale, heading, velocity and attribute."""

_FIGURES = {"mAP": "mean_ap", "NDS": "nd_score"}  # of ``DetectionMetrics``
_NOTHING = vars(DetectionMetricData.no_predictions())
_RECALL = _NOTHING["recall"]


class Box(NamedTuple):
    """A box of any class, with those attributes of a ``DetectionBox`` that its metrics read.

    Centre, quaternion (w, x, y, z) and velocity (NaN where unknown) are in any frame that the
    sample's boxes share; size is (width, length, height); an empty attribute is none.
    """

    sample_token: str
    translation: tuple[float, float, float]
    size: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    velocity: tuple[float, float]
    detection_name: str
    detection_score: float
    attribute_name: str


AnyBox = Box | DetectionBox


def meaningful(kind: ObjectClass) -> tuple[str, ...]:
    """The errors that have a meaning for a class, as in the devkit for its own classes."""
    without = {
        "orient_err": kind.heading == "none",
        "vel_err": not kind.moves,
        "attr_err": not kind.attributes,
    }
    return tuple(name for name in ERRORS if not without.get(name, False))


@dataclass(frozen=True)
class ClassMatches:
    """One class of a set of predictions; K detections, best score first, over S samples.

    Attributes:
        sample: (K,) the sample of each detection.
        score: (K,).
        hits: (T, K) whether it matches, for each distance threshold.
        errors: by the devkit's name, (T, K); NaN where the detection is no hit, or the error is
            unknown.
        num_gt: (S,) ground-truth boxes of the class in each sample.
    """

    sample: np.ndarray
    score: np.ndarray
    hits: np.ndarray
    errors: dict[str, np.ndarray]
    num_gt: np.ndarray


@dataclass(frozen=True)
class Matches:
    """All classes of a set of predictions.

    Attributes:
        tokens: of the S samples, sorted.
        kinds: the classes.
        classes: matches by name, in the order of ``kinds``.
        names: of the figures of :meth:`scores`.
        errors: those that the ground truth is known for; the others are NaN for every class.
    """

    tokens: tuple[str, ...]
    kinds: tuple[ObjectClass, ...]
    classes: dict[str, ClassMatches]
    names: tuple[str, ...] = ("mAP",)
    errors: tuple[str, ...] = ERRORS

    def scores(self, weights: np.ndarray) -> tuple[float, ...]:
        """The figures ``names`` of a data set with (S,) ``weights`` copies of each sample."""
        metrics = self.metrics(weights)
        return tuple(getattr(metrics, _FIGURES[name]) for name in self.names)

    def metrics(self, weights: np.ndarray) -> DetectionMetrics:
        """The devkit's metrics of that data set, of these classes (its ``cfg`` holds no more).

        As in the devkit, a class without ground truth has AP 0 and errors 1, and an error is 1
        where a class has too few hits; NaN where it has no meaning.
        """
        names = [kind.name for kind in self.kinds]
        metrics = DetectionMetrics(SimpleNamespace(class_names=names, mean_ap_weight=5))
        for kind in self.kinds:
            resampled = resample(self.classes[kind.name], weights)
            for threshold, precision in zip(DISTANCES, resampled.precision, strict=True):
                ap = calc_ap(SimpleNamespace(precision=precision), MIN_RECALL, MIN_PRECISION)
                metrics.add_label_ap(kind.name, threshold, ap)
            curves, known = resampled.curves(ERROR_DISTANCE), {*meaningful(kind)} & {*self.errors}
            reached = np.flatnonzero(curves["confidence"])
            curves = SimpleNamespace(max_recall_ind=reached[-1] if len(reached) else 0, **curves)
            for error in ERRORS:
                value = calc_tp(curves, MIN_RECALL, error) if error in known else np.nan
                metrics.add_label_tp(kind.name, error, value)
        return metrics


@dataclass(frozen=True)
class Resampled:
    """A class on a resampled data set; R detections, best first.

    Attributes:
        rows: (R,) into the class' detections.
        recall: (T, R).
        precision: (T, 101), over recall 0 to 1.
    """

    found: ClassMatches
    rows: np.ndarray
    recall: np.ndarray
    precision: np.ndarray

    def curves(self, distance: float) -> dict[str, np.ndarray]:
        """Recall 0 to 1, and over it precision, confidence and errors, at one of ``DISTANCES``."""
        threshold = DISTANCES.index(distance)
        hits = self.rows[self.found.hits[threshold, self.rows]]
        if not len(hits):
            return _NOTHING
        score = np.interp(_RECALL, self.recall[threshold], self.found.score[self.rows], right=0)
        hit_score = self.found.score[hits][::-1]
        precision = self.precision[threshold]
        curves = {"recall": _RECALL, "precision": precision, "confidence": score}
        for name, values in self.found.errors.items():
            mean = _running_mean(values[threshold, hits])
            # By confidence, as the devkit does; interpolation wants it ascending.
            curves[name] = np.interp(score[::-1], hit_score, mean[::-1])[::-1]
        return curves


def resample(found: ClassMatches, weights: np.ndarray) -> Resampled:
    """A class with each sample's detections and ground truth counted ``weights`` times."""
    rows = np.repeat(np.arange(len(found.sample)), weights[found.sample])
    hits = found.hits[:, rows].cumsum(axis=1)
    num_gt = int(weights @ found.num_gt)
    if not num_gt:  # as the devkit: a class without ground truth has found nothing
        rows, hits = rows[:0], hits[:, :0]
    recall = hits / max(num_gt, 1)
    precision = hits / np.arange(1, len(rows) + 1)
    interpolated = np.zeros((len(hits), len(_RECALL)))
    for row, (x, y) in enumerate(zip(recall, precision, strict=True)):
        if len(x) and x[-1] > 0:
            interpolated[row] = np.interp(_RECALL, x, y, right=0)
    return Resampled(found, rows, recall, interpolated)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the values so far without those that are NaN; 1 where all are, 0 before the first."""
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
    """Match predictions, each with ground truth of its sample and class.

    Args:
        predicted: among equal scores the later comes first, as in the devkit.
        gt_boxes: of the same samples, in the same frames.
        tokens: of all samples, with and without boxes.
        kinds: of all boxes; means over classes are taken in this order.
        names, errors: see :class:`Matches`.
    """
    tokens = tuple(sorted(tokens))
    place = {token: number for number, token in enumerate(tokens)}
    found, there = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for box in predicted:
        found[box.detection_name].append(box)
    for box in gt_boxes:
        there[box.detection_name][box.sample_token].append(box)
    classes = {k.name: _match_class(found[k.name], there[k.name], place, k) for k in kinds}
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
    ranks = defaultdict(list)  # of each sample's detections
    for rank, box in enumerate(predicted):
        ranks[box.sample_token].append(rank)
    for token, own in ranks.items():
        there = gt_boxes.get(token)
        if not there:
            continue
        centers = np.array([predicted[rank].translation[:2] for rank in own])
        distance = np.linalg.norm(
            centers[:, None] - np.array([box.translation[:2] for box in there])[None], axis=-1
        )
        pairs = {}  # most are the same at every threshold
        for row, threshold in enumerate(DISTANCES):
            for pair in greedy(distance, threshold):
                rank, nearest = own[pair[0]], pair[1]
                if pair not in pairs:
                    pairs[pair] = _errors(predicted[rank], there[nearest], distance[pair], kind)
                hits[row, rank] = True
                for name, value in pairs[pair].items():
                    errors[name][row, rank] = value
    count = np.zeros(len(place), dtype=np.int64)
    for token, there in gt_boxes.items():
        count[place[token]] = len(there)
    sample = np.array([place[box.sample_token] for box in predicted], dtype=np.int64)
    return ClassMatches(sample, np.array(scores)[order], hits, errors, count)


def ranking(scores: Sequence[float]) -> list[int]:
    """The devkit's: best first, among equal scores the later box."""
    return sorted(range(len(scores)), key=lambda i: (scores[i], i), reverse=True)


def greedy(distance: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """(detection, ground truth) pairs; each detection in turn takes the nearest ground truth that is left."""
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

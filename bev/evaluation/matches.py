"""Which detections are hits: computed once, so that the metrics of any resample follow fast.

The official matching is greedy by score and looks at one sample at a time, so a detection's hit or
miss depends on its own sample alone. On a resampled set, in which a sample stands several times,
only the ranking by score and the counts change: each detection is repeated as often as its sample.
The figures are those that the devkit gives for a data set of so many copies.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from nuscenes.eval.common.utils import attr_acc, scale_iou, velocity_l2, yaw_diff
from nuscenes.eval.detection.algo import calc_ap, calc_tp
from nuscenes.eval.detection.constants import TP_METRICS
from nuscenes.eval.detection.data_classes import DetectionBox, DetectionConfig, DetectionMetrics

from bev.evaluation.official import CountedBoxes

_RECALL = np.linspace(0, 1, 101)
# Errors that the devkit does not define for a class.
MEANINGLESS = {
    "traffic_cone": {"attr_err", "vel_err", "orient_err"},
    "barrier": {"attr_err", "vel_err"},
}


@dataclass(frozen=True)
class ClassMatches:
    """One class of a results file; K detections, best score first, over S samples.

    Attributes:
        sample: (K,) the sample of each detection.
        score: (K,).
        hits: (T, K) whether it matches, for each distance threshold.
        errors: by the devkit's name, (K,); NaN where the detection is no hit at the threshold of
            the errors, or the error has no meaning.
        truth: (S,) boxes of the class in each sample.
    """

    sample: np.ndarray
    score: np.ndarray
    hits: np.ndarray
    errors: dict[str, np.ndarray]
    truth: np.ndarray


@dataclass(frozen=True)
class Matches:
    """A whole results file.

    Attributes:
        tokens: of the S samples, sorted.
        classes: by name.
        config: the devkit's settings.
    """

    tokens: tuple[str, ...]
    classes: dict[str, ClassMatches]
    config: DetectionConfig

    def scores(self, weights: np.ndarray) -> tuple[float, float]:
        """(mAP, NDS) of a data set that holds sample s ``weights[s]`` times.

        Args:
            weights: (S,) counts.
        """
        metrics = DetectionMetrics(self.config)
        thresholds, config = self.config.dist_ths, self.config
        for name, found in self.classes.items():
            resampled = resample(found, weights)
            for threshold, precision in zip(thresholds, resampled.precision, strict=True):
                ap = calc_ap(
                    SimpleNamespace(precision=precision), config.min_recall, config.min_precision
                )
                metrics.add_label_ap(name, threshold, ap)
            curves = resampled.error_curves(thresholds.index(config.dist_th_tp))
            for error in TP_METRICS:
                value = np.nan
                if error not in MEANINGLESS.get(name, ()):
                    value = calc_tp(curves, config.min_recall, error)
                metrics.add_label_tp(name, error, value)
        return metrics.mean_ap, metrics.nd_score


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

    def error_curves(self, threshold: int) -> SimpleNamespace:
        """The true-positive errors over recall 0 to 1, as the devkit's ``calc_tp`` reads them."""
        hits = self.rows[self.found.hits[threshold, self.rows]]
        if not len(hits):
            return SimpleNamespace(max_recall_ind=0)
        score = np.interp(_RECALL, self.recall[threshold], self.found.score[self.rows], right=0)
        above = np.flatnonzero(score)
        hit_score = self.found.score[hits][::-1]
        curves = {}
        for name, values in self.found.errors.items():
            mean = _running_mean(values[hits])
            # By confidence, as the devkit does; interpolation wants it ascending.
            curves[name] = np.interp(score[::-1], hit_score, mean[::-1])[::-1]
        return SimpleNamespace(max_recall_ind=above[-1] if len(above) else 0, **curves)


def resample(found: ClassMatches, weights: np.ndarray) -> Resampled:
    """A class with each sample's detections and truth counted ``weights`` times."""
    rows = np.repeat(np.arange(len(found.sample)), weights[found.sample])
    hits = found.hits[:, rows].cumsum(axis=1)
    truth = int(weights @ found.truth)
    if not truth:  # as the devkit: a class without truth has found nothing
        rows, hits = rows[:0], hits[:, :0]
    recall = hits / max(truth, 1)
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


def match(boxes: CountedBoxes) -> Matches:
    """Match the detections of a results file, as the official metrics do."""
    tokens = tuple(sorted(boxes.truth.sample_tokens))
    place = {token: number for number, token in enumerate(tokens)}
    config = boxes.config
    predicted, truth = defaultdict(list), defaultdict(lambda: defaultdict(list))
    for box in boxes.predicted.all:
        predicted[box.detection_name].append(box)
    for box in boxes.truth.all:
        truth[box.detection_name][box.sample_token].append(box)
    classes = {
        name: _match_class(predicted[name], truth[name], place, config)
        for name in config.class_names
    }
    return Matches(tokens, classes, config)


def _match_class(
    predicted: Sequence[DetectionBox],
    truth: dict[str, list[DetectionBox]],
    place: dict[str, int],
    config: DetectionConfig,
) -> ClassMatches:
    scores = [box.detection_score for box in predicted]
    order = ranking(scores)
    predicted = [predicted[i] for i in order]
    hits = np.zeros((len(config.dist_ths), len(order)), dtype=bool)
    errors = {name: np.full(len(order), np.nan) for name in TP_METRICS}
    ranks = defaultdict(list)  # of each sample's detections
    for rank, box in enumerate(predicted):
        ranks[box.sample_token].append(rank)
    for token, own in ranks.items():
        there = truth.get(token)
        if not there:
            continue
        centers = np.array([predicted[rank].translation[:2] for rank in own])
        distance = np.linalg.norm(
            centers[:, None] - np.array([box.translation[:2] for box in there])[None], axis=-1
        )
        for row, threshold in enumerate(config.dist_ths):
            for rank, nearest in greedy(distance, threshold):
                hits[row, own[rank]] = True
                if threshold == config.dist_th_tp:
                    found = _errors(predicted[own[rank]], there[nearest], distance[rank, nearest])
                    for name, value in found.items():
                        errors[name][own[rank]] = value
    count = np.zeros(len(place), dtype=np.int64)
    for token, there in truth.items():
        count[place[token]] = len(there)
    sample = np.array([place[box.sample_token] for box in predicted], dtype=np.int64)
    return ClassMatches(sample, np.array(scores)[order], hits, errors, count)


def ranking(scores: Sequence[float]) -> list[int]:
    """The devkit's: best first, among equal scores the later box."""
    return sorted(range(len(scores)), key=lambda i: (scores[i], i), reverse=True)


def greedy(distance: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """(detection, truth) pairs; each detection in turn takes the nearest truth that is left."""
    left, pairs = distance.copy(), []
    for rank in np.flatnonzero((distance < threshold).any(axis=1)):
        nearest = int(left[rank].argmin())
        if left[rank, nearest] < threshold:
            left[:, nearest] = np.inf
            pairs.append((int(rank), nearest))
    return pairs


def _errors(box: DetectionBox, truth: DetectionBox, distance: float) -> dict[str, float]:
    period = np.pi if box.detection_name == "barrier" else 2 * np.pi
    return {
        "trans_err": distance,
        "vel_err": velocity_l2(truth, box),
        "scale_err": 1 - scale_iou(truth, box),
        "orient_err": yaw_diff(truth, box, period=period),
        "attr_err": 1 - attr_acc(truth, box),
    }

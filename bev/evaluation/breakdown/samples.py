"""Operating scores of the classes, and the error of each sample at them.

A sample has no average precision of its own: the ranking is over the whole split. Its error is that
of the detector in use: with, for each class, the score threshold that maximises F1 over the split
for hits within 2 m, the sample's error is ``1 - F1`` over all of its boxes,

    error = 1 - 2 hits / (2 hits + misses + false positives),

0 for a sample without boxes of either kind. It is 0 if everything is found and nothing else, and 1
if there is no hit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.detection.matches import ClassMatches
from bev.evaluation.detection.metrics import DISTANCES, ERROR_DISTANCE

_AT = DISTANCES.index(ERROR_DISTANCE)


@dataclass(frozen=True)
class SampleErrors:
    """Errors of S samples at the operating scores of the classes.

    Attributes:
        error: (S,) error, 0 to 1.
        hits: (S,) detections that match ground truth.
        misses: (S,) ground-truth boxes that no detection matches.
        false: (S,) detections that match nothing.
    """

    error: np.ndarray
    hits: np.ndarray
    misses: np.ndarray
    false: np.ndarray


def operating_score(matches: ClassMatches) -> float:
    """Score that maximises the F1 of hits within 2 m, the highest of several; infinite for none.

    Detections of at least this score count. It is infinite if no detection is a hit.
    """
    score, hits = matches.score, matches.hits[_AT].cumsum()
    last = np.append(score[1:] != score[:-1], True) if len(score) else np.zeros(0, bool)
    f1 = 2 * hits / (np.arange(1, len(score) + 1) + matches.num_gt.sum())
    f1 = np.where(last, f1, 0)  # equal scores are on one side of any threshold
    return float(score[f1.argmax()]) if len(f1) and f1.max() > 0 else math.inf


def operating_scores(boxes: MatchedBoxes) -> dict[str, float]:
    """Operating score of each class."""
    return {kind.name: operating_score(boxes.of_class(kind.name)) for kind in boxes.kinds}


def at_operating_scores(boxes: MatchedBoxes, scores: Mapping[str, float]) -> np.ndarray:
    """(P,) whether a predicted box has at least the operating score of its class."""
    thresholds = np.array([scores.get(name, math.inf) for name in boxes.predicted.names])
    return boxes.predicted.score >= thresholds[boxes.predicted.label]


def sample_errors(boxes: MatchedBoxes, scores: Mapping[str, float]) -> SampleErrors:
    """Error and counts of each sample.

    Args:
        boxes: boxes of the S samples.
        scores: operating scores of the classes.
    """
    counted = at_operating_scores(boxes, scores)
    is_hit = boxes.gt_of_predicted >= 0
    size = len(boxes.matches.tokens)
    hits, false = (
        np.bincount(boxes.predicted.sample[counted & of_kind], minlength=size)
        for of_kind in (is_hit, ~is_hit)
    )
    misses = np.bincount(boxes.gt_boxes.sample, minlength=size) - hits
    total = 2 * hits + misses + false
    error = np.where(total > 0, 1 - 2 * hits / np.maximum(total, 1), 0.0)
    return SampleErrors(error, hits, misses, false)

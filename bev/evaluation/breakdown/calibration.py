"""Calibration of scores: the precision of detections of about one score.

A score is calibrated if, of the detections with score 0.7, 70 % are hits (here: within 2 m). The
expected calibration error (Naeini et al. 2015) is the mean of ``|precision - mean score|`` over ten
bins of scores, weighted by their numbers of detections. It is that of a ranking with its many
detections of low score, and not the error at a threshold.
"""

from dataclasses import dataclass

import numpy as np

from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.detection.metrics import DISTANCES, ERROR_DISTANCE

BINS = 10
ALL = ""
"""Name of all classes together."""


@dataclass(frozen=True)
class Calibration:
    """Calibration of the scores of a class.

    Attributes:
        counts: (BINS,) detections in each tenth of the scores.
        score: (BINS,) their mean score; NaN without detections.
        precision: (BINS,) share of hits among them; NaN without detections.
        error: expected calibration error.
    """

    counts: np.ndarray
    score: np.ndarray
    precision: np.ndarray
    error: float


def calibrations(boxes: MatchedBoxes) -> dict[str, Calibration]:
    """Calibration of all classes (``ALL``) and of each class that has detections.

    Empty without detections, and if a score is not between 0 and 1.
    """
    score, hits = boxes.predicted.score, boxes.gt_of_predicted >= 0
    if not len(score) or score.min() < 0 or score.max() > 1:
        return {}
    at = DISTANCES.index(ERROR_DISTANCE)
    found = {ALL: calibration(score, hits)}
    for kind in boxes.kinds:
        one = boxes.of_class(kind.name)
        if len(one.score):
            found[kind.name] = calibration(one.score, one.hits[at])
    return found


def calibration(score: np.ndarray, hits: np.ndarray) -> Calibration:
    """Calibration of detections: (n,) scores between 0 and 1, and whether each is a hit."""
    place = np.minimum((score * BINS).astype(int), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    mean, precision = (
        np.where(counts, np.bincount(place, values, BINS) / np.maximum(counts, 1), np.nan)
        for values in (score, hits.astype(float))
    )
    error = float(np.nansum(np.abs(mean - precision) * counts) / len(score))
    return Calibration(counts, mean, precision, error)

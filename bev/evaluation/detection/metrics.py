"""Average precision, true-positive errors and their means over classes, as in nuscenes-devkit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Settings of ``detection_cvpr_2019`` in the devkit.
DISTANCES = (0.5, 1.0, 2.0, 4.0)  # a hit is closer than this to its ground truth, metres
ERROR_DISTANCE = 2.0  # errors are computed on the hits of this threshold, metres
MIN_RECALL = MIN_PRECISION = 0.1
MEAN_AP_WEIGHT = 5  # of mAP in NDS; each error has weight 1

MAX_BOXES = 500  # predicted boxes of a sample

# True-positive errors (translation, scale, heading, velocity, attribute): name in the devkit ->
# name in papers. Means over the classes are prefixed with "m".
ERROR_NAMES = {
    "trans_err": "ATE",
    "scale_err": "ASE",
    "orient_err": "AOE",
    "vel_err": "AVE",
    "attr_err": "AAE",
}
ERRORS = tuple(ERROR_NAMES)

_FIRST = round(100 * MIN_RECALL) + 1  # of the 101 recalls 0 to 1; lower ones do not count


def average_precision(precision: np.ndarray) -> float:
    """Mean of (101,) precisions at recalls 0 to 1, above the minimum recall and precision."""
    counted = np.maximum(precision[_FIRST:] - MIN_PRECISION, 0)
    return float(np.mean(counted)) / (1.0 - MIN_PRECISION)


def true_positive_error(confidence: np.ndarray, error: np.ndarray) -> float:
    """Mean of a (101,) error over the recalls reached, those with a (101,) confidence above 0.

    It is 1 if the minimum recall is not reached.
    """
    reached = np.flatnonzero(confidence)
    last = reached[-1] if len(reached) else 0
    return 1.0 if last < _FIRST else float(np.mean(error[_FIRST : last + 1]))


@dataclass(frozen=True)
class DetectionMetrics:
    """Metrics of a set of classes; their order is that of the means.

    Attributes:
        label_aps: AP by class and distance threshold.
        label_errors: errors by class and name; NaN where an error is not defined for the class.
    """

    label_aps: Mapping[str, Mapping[float, float]]
    label_errors: Mapping[str, Mapping[str, float]]

    @property
    def mean_dist_aps(self) -> dict[str, float]:
        """Mean AP over the distance thresholds, by class."""
        return {name: float(np.mean([*aps.values()])) for name, aps in self.label_aps.items()}

    @property
    def mean_ap(self) -> float:
        return float(np.mean([*self.mean_dist_aps.values()]))

    @property
    def errors(self) -> dict[str, float]:
        """Mean of each error over the classes that have it; NaN if none has."""
        return {name: _mean([one[name] for one in self.label_errors.values()]) for name in ERRORS}

    @property
    def error_scores(self) -> dict[str, float]:
        """``1 - error``, at least 0, of each mean error."""
        return {name: max(0.0, 1.0 - error) for name, error in self.errors.items()}

    def summary(self) -> dict:
        """Entries of a ``metrics_summary.json`` of the devkit that any label space has."""
        return {
            "label_aps": self.label_aps,
            "mean_dist_aps": self.mean_dist_aps,
            "mean_ap": self.mean_ap,
            "label_tp_errors": self.label_errors,
            "tp_errors": self.errors,
        }

    @property
    def nd_score(self) -> float:
        """nuScenes detection score (NDS)."""
        scores = [*self.error_scores.values()]
        total = float(MEAN_AP_WEIGHT * self.mean_ap + np.sum(scores))
        return total / float(MEAN_AP_WEIGHT + len(scores))


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.nanmean(values)) if known else np.nan

"""Average precision of the groups of a division.

Boxes are matched once, over all groups, by the rule of the metric; a group then counts

- as ground truth, its ground-truth boxes;
- as hits, the detections that match one of them;
- as false positives, the detections that match nothing and are in the group by their own values.

Detections that match ground truth of another group are ignored, as in COCO's evaluation by area: a
box at 19.9 m that matches an object at 20.1 m is a hit of the object's band, and an error of none.
A division by a property that detections do not have (visibility) shares the false positives out by
the groups' shares of the class's ground truth. Of one group with everything, the average precision
is that of the metric.
"""

from dataclasses import dataclass

import numpy as np

from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.breakdown.divisions import Division
from bev.evaluation.detection.matches import ClassMatches
from bev.evaluation.detection.metrics import average_precision

_RECALL = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class GroupPrecision:
    """Average precision by class and group; C classes, N groups.

    Attributes:
        division: the groups.
        num_gt: (C, N) number of ground-truth boxes.
        class_ap: (C, N) average precision, the mean over the distances; NaN without ground truth.
        mean_ap: (N,) mean over the classes that have ground truth in the group; NaN if none has.
    """

    division: Division
    num_gt: np.ndarray
    class_ap: np.ndarray
    mean_ap: np.ndarray


def group_precision(boxes: MatchedBoxes, division: Division) -> GroupPrecision:
    """Average precision of each class in each group of a division."""
    num_groups = len(division.groups)
    num_gt = np.zeros((len(boxes.kinds), num_groups), int)
    class_ap = np.full(num_gt.shape, np.nan)
    for place, kind in enumerate(boxes.kinds):
        of_class = division.gt_group[boxes.gt_boxes.label == boxes.label_of(kind.name)]
        num_gt[place] = np.bincount(of_class[of_class >= 0], minlength=num_groups)
        class_ap[place] = _class_ap(boxes.of_class(kind.name), division, num_gt[place])
    known = ~np.isnan(class_ap)
    total = np.where(known, class_ap, 0).sum(axis=0)
    mean = np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)
    return GroupPrecision(division, num_gt, class_ap, mean)


def _class_ap(matches: ClassMatches, division: Division, num_gt: np.ndarray) -> np.ndarray:
    """(N,) average precision of the groups, the mean over the distances."""
    found = np.full(num_gt.shape, np.nan)
    for group in np.flatnonzero(num_gt):
        share = num_gt[group] / num_gt.sum()
        aps = []
        for gt_row in matches.gt_row:
            is_hit = gt_row >= 0
            hits = is_hit & (division.gt_group[gt_row] == group)
            if division.predicted_group is None:
                false, weight = ~is_hit, share
            else:
                false = ~is_hit & (division.predicted_group[matches.row] == group)
                weight = 1.0
            aps.append(_average_precision(hits, false, weight, int(num_gt[group])))
        found[group] = np.mean(aps)
    return found


def _average_precision(hits: np.ndarray, false: np.ndarray, weight: float, num_gt: int) -> float:
    """AP of detections, best score first; those that are neither hit nor false are ignored."""
    counted = hits | false
    true, wrong = hits[counted].cumsum(), false[counted].cumsum() * weight
    if not len(true) or not true[-1]:
        return 0.0
    recall, precision = true / num_gt, true / (true + wrong)
    return average_precision(np.interp(_RECALL, recall, precision, right=0))

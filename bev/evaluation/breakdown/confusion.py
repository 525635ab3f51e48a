"""Confusion between classes.

Detections of at least the operating score of their class are matched with ground truth by the rule
of the metric (best score first, the nearest free box within 2 m), but whatever their class: each
ground-truth box has the class of the best detection at its place. Ground truth without a match is
missed; a detection without one is on the background.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.breakdown.samples import at_operating_scores
from bev.evaluation.detection.matching import assign, pairs_within, ranking
from bev.evaluation.detection.metrics import ERROR_DISTANCE


@dataclass(frozen=True)
class Confusion:
    """Counts of boxes by annotated and by predicted class.

    Attributes:
        names: names of the C classes.
        counts: (C + 1, C + 1): rows are the annotated classes, then background; columns the
            predicted ones, then missed. The last entry is 0.
    """

    names: tuple[str, ...]
    counts: np.ndarray


def confusion(boxes: MatchedBoxes, scores: Mapping[str, float]) -> Confusion:
    """Confusion of the classes at their operating scores."""
    names = tuple(kind.name for kind in boxes.kinds)
    place = np.array([names.index(n) if n in names else -1 for n in boxes.gt_boxes.names])
    predicted = boxes.predicted.take(at_operating_scores(boxes, scores))
    predicted = predicted.take(ranking(predicted.score))
    pairs = pairs_within(predicted, boxes.gt_boxes, ERROR_DISTANCE)
    chosen = assign(pairs[0], pairs[1])
    detection, gt_box = pairs[0][chosen], pairs[1][chosen]
    annotated = np.full(len(predicted), len(names))
    annotated[detection] = place[boxes.gt_boxes.label[gt_box]]
    missed = np.ones(len(boxes.gt_boxes), bool)
    missed[gt_box] = False
    counts = np.zeros((len(names) + 1, len(names) + 1), int)
    np.add.at(counts, (annotated, place[predicted.label]), 1)
    np.add.at(counts, (place[boxes.gt_boxes.label[missed]], len(names)), 1)
    return Confusion(names, counts)

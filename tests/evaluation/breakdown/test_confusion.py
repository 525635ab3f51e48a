"""Confusion between classes: by hand, and its sums."""

import numpy as np
from made_boxes import NAMES, crowded, matched

from bev.evaluation.breakdown.confusion import confusion
from bev.evaluation.breakdown.samples import at_operating_scores, operating_scores

VAN, GATE, POST = range(3)
NONE = 3  # background or missed


def test_the_best_detection_at_a_place_decides_whatever_its_class():
    gt_boxes = [("a", "van", 0, 0), ("a", "van", 10, 0), ("a", "gate", 20, 0), ("b", "post", 0, 0)]
    predicted = [
        ("a", "van", 0, 1, {"score": 0.6}),  # right
        ("a", "gate", 10, 1, {"score": 0.9}),  # takes the second van, before the van below
        ("a", "van", 10, 0, {"score": 0.8}),  # so this one is on the background
        ("a", "gate", 21, 0, {"score": 0.7}),  # right
        ("b", "van", 1.9, 0, {"score": 0.9}),  # a post is called a van
        ("b", "van", 30, 0, {"score": 0.1}),  # below the operating score
    ]
    boxes = matched(predicted, gt_boxes, ("a", "b"))
    scores = {"van": 0.5, "gate": 0.5, "post": 0.5}
    counts = confusion(boxes, scores).counts
    expected = np.zeros((4, 4), int)
    expected[VAN, VAN] = expected[VAN, GATE] = expected[GATE, GATE] = expected[POST, VAN] = 1
    expected[NONE, VAN] = 1
    assert counts.tolist() == expected.tolist()


def test_a_box_two_metres_away_is_missed():
    boxes = matched([("a", "van", 2.0, 0)], [("a", "van", 0, 0)])
    counts = confusion(boxes, {"van": 0.5}).counts
    assert counts[VAN, NONE] == counts[NONE, VAN] == 1 and counts.sum() == 2


def test_rows_are_all_ground_truth_and_columns_all_detections():
    boxes = crowded(7)
    scores = operating_scores(boxes)
    counts = confusion(boxes, scores).counts
    assert counts[:-1].sum(axis=1).tolist() == np.bincount(boxes.gt_boxes.label).tolist()
    counted = boxes.predicted.label[at_operating_scores(boxes, scores)]
    assert counts[:, :-1].sum(axis=0).tolist() == np.bincount(counted, minlength=3).tolist()
    assert counts[-1, -1] == 0 and counts[VAN, GATE] + counts[GATE, VAN] > 0
    assert len(NAMES) == 3

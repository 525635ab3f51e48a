"""Operating scores and errors of samples: by hand and against a slow version."""

import math

import numpy as np
import pytest
from made_boxes import crowded, matched

from bev.evaluation.breakdown.samples import (
    at_operating_scores,
    operating_score,
    operating_scores,
    sample_errors,
)


def vans(*scored):
    """Detections (x, score) of a sample whose vans stand at 0 and at 20 m."""
    rows = [("a", "van", x, 0, {"score": score}) for x, score in scored]
    return matched(rows, [("a", "van", 0, 0), ("a", "van", 20, 0)])


@pytest.mark.parametrize(
    ("scored", "expected"),
    [
        ([(0, 0.9), (10, 0.8), (20, 0.7)], 0.7),  # F1 2/3, 1/2, 4/5
        ([(0, 0.9), (10, 0.8), (10, 0.8), (10, 0.8), (20, 0.7)], 0.9),  # 2/3, ..., 4/7
        ([(0, 0.7), (10, 0.7), (20, 0.5)], 0.5),  # equal scores count together: 1/2, 4/5
        ([(0, 0.7), (10, 0.7), (10, 0.7)], 0.7),
        ([(10, 0.9)], math.inf),
        ([], math.inf),
    ],
)
def test_the_operating_score_maximises_f1(scored, expected):
    assert operating_score(vans(*scored).of_class("van")) == expected


def test_the_error_of_a_sample_by_hand():
    gt_boxes = [("a", "van", 0, 0), ("a", "van", 20, 0), ("a", "post", 9, 9), ("b", "van", 0, 0)]
    predicted = [
        ("a", "van", 0.5, 0, {"score": 0.9}),
        ("a", "van", 30, 0, {"score": 0.8}),
        ("b", "van", 0, 1, {"score": 0.8}),
        ("b", "van", 9, 1, {"score": 0.1}),
        ("c", "post", 9, 9, {"score": 0.9}),  # no post is ever found: none counts
    ]
    boxes = matched(predicted, gt_boxes, ("a", "b", "c"))
    scores = operating_scores(boxes)
    assert scores == {"van": 0.8, "gate": math.inf, "post": math.inf}
    found = sample_errors(boxes, scores)
    assert found.hits.tolist() == [1, 1, 0]
    assert found.misses.tolist() == [2, 0, 0]
    assert found.false.tolist() == [1, 0, 0]
    assert found.error == pytest.approx([1 - 2 / 5, 0, 0])


@pytest.mark.parametrize("seed", [0, 4])
def test_a_slow_version_agrees(seed):
    boxes = crowded(seed)
    scores = operating_scores(boxes)
    for name, score in scores.items():
        one = boxes.of_class(name)
        f1 = {
            least: 2 * (one.hits[2] & (one.score >= least)).sum()
            / ((one.score >= least).sum() + one.num_gt.sum())
            for least in one.score.tolist()
        }  # fmt: skip
        assert f1[score] == max(f1.values())
    found = sample_errors(boxes, scores)
    counted = at_operating_scores(boxes, scores)
    for sample in range(len(boxes.matches.tokens)):
        hits = false = 0
        for row in np.flatnonzero(boxes.predicted.sample == sample):
            if (
                boxes.predicted.score[row]
                >= scores[boxes.predicted.names[boxes.predicted.label[row]]]
            ):
                assert counted[row]
                hits, false = (
                    (hits + 1, false) if boxes.gt_of_predicted[row] >= 0 else (hits, false + 1)
                )
        total = (boxes.gt_boxes.sample == sample).sum()
        assert (found.hits[sample], found.false[sample]) == (hits, false)
        assert found.misses[sample] == total - hits
        f1 = 2 * hits / (2 * hits + false + total - hits) if hits + false + total else 1.0
        assert found.error[sample] == pytest.approx(1 - f1)

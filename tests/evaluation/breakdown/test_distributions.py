"""Distributions of errors and calibration of scores: by hand."""

import numpy as np
import pytest
from made_boxes import crowded, matched

from bev.evaluation.breakdown.calibration import ALL, calibration, calibrations
from bev.evaluation.breakdown.distributions import error_distributions


def of(boxes, name):
    return next(one for one in error_distributions(boxes) if one.kind.name == name)


def test_errors_along_and_across_the_line_of_sight():
    """A van to the left, at y = 20; its detection is 1 m too far and 0.5 m towards the front."""
    boxes = matched([("a", "van", 0.5, 21, {"yaw": np.pi})], [("a", "van", 0, 20)])
    values = {name: of(boxes, name).quantiles["van"][2] for name in ("radial", "tangential")}
    assert values == pytest.approx({"radial": 1.0, "tangential": -0.5})
    assert of(boxes, "translation").quantiles["van"][2] == pytest.approx(np.hypot(1, 0.5))
    assert of(boxes, "orientation").quantiles["van"][2] == pytest.approx(180)
    assert of(boxes, "orientation").counts["van"].nonzero()[0].tolist() == [17]


def test_values_beyond_the_last_edge_count_in_the_last_bin():
    fast = {"velocity": (40.0, 0.0)}
    boxes = matched([("a", "van", 0, 0)], [("a", "van", 0, 0, fast)])
    found = of(boxes, "velocity")
    assert found.counts["van"][-1] == 1 and found.quantiles["van"][2] == 40


def test_classes_without_a_heading_or_velocity_have_no_such_error():
    rows = [("a", "post", 0, 0), ("a", "gate", 9, 0), ("a", "van", 20, 0)]
    boxes = matched(rows, rows)
    assert set(of(boxes, "orientation").counts) == {"gate", "van"}
    assert set(of(boxes, "velocity").counts) == {"van"}


def test_histograms_hold_every_hit():
    boxes = crowded(3)
    counts = of(boxes, "translation").counts
    hits = {name: int(one.hits[2].sum()) for name, one in boxes.matches.classes.items()}
    assert {name: int(values.sum()) for name, values in counts.items()} == hits
    radial, tangential = of(boxes, "radial").counts, of(boxes, "tangential").counts
    assert {name: int(values.sum()) for name, values in radial.items()} == hits
    assert {name: int(values.sum()) for name, values in tangential.items()} == hits


def test_the_calibration_error_by_hand():
    """Four of score 0.95, three of them hits, and one miss of score 0.15."""
    found = calibration(
        np.array([0.95, 0.95, 0.95, 0.95, 0.15]), np.array([True, True, False, True, False])
    )
    assert found.counts.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 4]
    assert found.precision[9] == 0.75 and found.score[1] == pytest.approx(0.15)
    assert found.error == pytest.approx((4 * 0.2 + 0.15) / 5)
    assert np.isnan(found.precision[0])


def test_a_score_of_one_belongs_to_the_last_bin_and_others_have_no_calibration():
    assert calibration(np.array([1.0]), np.array([True])).counts[9] == 1
    van = [("a", "van", 0, 0)]
    assert set(calibrations(matched(van, van))) == {ALL, "van"}
    assert calibrations(matched([("a", "van", 0, 0, {"score": 1.5})], van)) == {}
    assert calibrations(matched([], van)) == {}

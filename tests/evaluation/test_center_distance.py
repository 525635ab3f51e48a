"""Scores by centre distance in any label space: worked cases, properties and refusals."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from crowds import PARK, crowd, official_keys
from hypothesis import given, settings
from hypothesis import strategies as st

from bev.data.labels import LabelSpace, ObjectClass
from bev.errors import DataError, SubmissionError
from bev.evaluation.bootstrap import draws, interval, replicate
from bev.evaluation.center_distance import match_boxes, score_boxes
from bev.geometry import Boxes3D

VAN = LabelSpace(PARK.classes[:1])


def boxes_at(*places, label=0, score=1.0, yaw=0.0) -> Boxes3D:
    """Boxes of 4 x 2 x 2 m."""
    center = torch.tensor([(*place, 1.0) for place in places]).reshape(-1, 3)
    count = len(center)
    return Boxes3D.make(
        center,
        torch.tensor([4.0, 2.0, 2.0]).repeat(count, 1),
        torch.full((count,), yaw),
        label=torch.full((count,), label),
        score=torch.full((count,), score),
    )


def test_one_exact_one_displaced_and_one_missed_box():
    """One of three vans is predicted exactly, one 1.5 m off, and one is missed."""
    gt_boxes = {"a": boxes_at((10, 0), (20, 0), (30, 0))}
    predicted = {"a": Boxes3D.cat([boxes_at((20, 1.5), score=0.8), boxes_at((10, 0), score=0.9)])}
    found = score_boxes(predicted, gt_boxes, VAN)
    # Precision is 1 up to recall 1/3 below 1.5 m, up to 2/3 above; recalls 0.11 to 1 count.
    assert found.summary["label_aps"]["van"] == pytest.approx(
        {0.5: 23 / 90, 1.0: 23 / 90, 2.0: 56 / 90, 4.0: 56 / 90}
    )
    assert found.scores.figures["mAP"] == pytest.approx((23 + 56) / 180)
    # The cumulative mean error is 0 up to recall 1/3, then rises linearly to 0.75 at 2/3.
    error = sum(0.75 * max(0, k / 100 - 1 / 3) * 3 for k in range(11, 67)) / 56
    assert found.scores.figures["mATE"] == pytest.approx(error)
    assert found.scores.classes["van"]["ATE"] == pytest.approx(12.375 / 56)
    assert found.scores.figures["mASE"] == pytest.approx(0, abs=1e-12)


def test_a_box_of_half_the_volume_has_half_the_scale_error():
    gt_boxes = {"a": boxes_at((10, 0))}
    half = replace(gt_boxes["a"], size=torch.tensor([[2.0, 2.0, 2.0]]))
    assert score_boxes({"a": half}, gt_boxes, VAN).scores.figures["mASE"] == pytest.approx(0.5)


def test_headings_turned_by_pi_are_scored_by_the_heading_of_the_class():
    kinds = range(len(PARK.classes))
    gt_boxes = {"a": Boxes3D.cat([boxes_at((9 * k, 5), label=k, yaw=0.3) for k in kinds])}
    turned = {"a": replace(gt_boxes["a"], yaw=gt_boxes["a"].yaw + math.pi)}
    scores = score_boxes(turned, gt_boxes, PARK).scores
    assert scores.classes["van"]["AOE"] == pytest.approx(math.pi, abs=1e-6)
    assert scores.classes["gate"]["AOE"] == pytest.approx(0, abs=1e-6)
    assert math.isnan(scores.classes["post"]["AOE"])
    assert scores.figures["mAOE"] == pytest.approx(math.pi / 2, abs=1e-6)
    quarter = {"a": replace(gt_boxes["a"], yaw=gt_boxes["a"].yaw + math.pi / 2)}
    assert score_boxes(quarter, gt_boxes, PARK).scores.figures["mAOE"] == pytest.approx(math.pi / 2)


def test_errors_without_ground_truth_are_not_reported():
    gt_boxes = {"a": boxes_at((10, 0))}
    plain = score_boxes(gt_boxes, gt_boxes, PARK).scores
    assert list(plain.figures) == ["mAP", "mATE", "mASE", "mAOE"]
    assert list(plain.classes["van"]) == ["AP", "ATE", "ASE", "AOE"]
    moving = {"a": replace(gt_boxes["a"], velocity=torch.tensor([[3.0, 0.0]]))}
    scores = score_boxes(gt_boxes, moving, PARK).scores  # unknown predicted velocity counts as 0
    assert list(scores.figures) == ["mAP", "mATE", "mASE", "mAOE", "mAVE"]
    assert scores.classes["van"]["AVE"] == pytest.approx(3)
    assert math.isnan(scores.classes["gate"]["AVE"])
    posts = LabelSpace(PARK.classes[2:])
    assert list(score_boxes(gt_boxes, moving, posts).scores.figures) == ["mAP", "mATE", "mASE"]


def test_attributes_follow_from_the_speed_where_none_is_predicted():
    names = ("parked", "driving")
    labels = LabelSpace((ObjectClass("van", names, at_rest="parked", moving="driving"),), names)
    still = boxes_at((10, 0), (20, 0))
    gt_boxes = {"a": replace(still, attribute=torch.tensor([0, 1]))}
    fast = replace(still, velocity=torch.tensor([[0.1, 0.0], [3.0, 0.0]]))
    assert score_boxes({"a": fast}, gt_boxes, labels).scores.figures["mAAE"] == 0
    wrong = replace(fast, attribute=torch.tensor([1, 0]))
    assert score_boxes({"a": wrong}, gt_boxes, labels).scores.figures["mAAE"] == 1
    assert "mAAE" not in score_boxes({"a": fast}, {"a": still}, labels).scores.figures


seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=15)


@few
@given(seeds)
def test_ground_truth_as_prediction_scores_perfectly(seed):
    _, gt_boxes = crowd(seed, PARK, samples=3)
    own = {"more": boxes_at((1, 1)).double(), **gt_boxes}
    found = score_boxes(own, own, PARK)
    for kind, name in enumerate(PARK.names):
        there = any((boxes.label == kind).any() for boxes in own.values())
        assert found.scores.classes[name]["AP"] == pytest.approx(float(there))
        assert found.scores.classes[name]["ATE"] == pytest.approx(float(not there), abs=1e-12)
        assert (name in found.scores.note) == (not there)


@few
@given(seeds)
def test_the_order_of_samples_and_boxes_does_not_matter(seed):
    predicted, gt_boxes = crowd(seed, PARK, samples=3)
    gt_boxes["sample 0"] = Boxes3D.cat([gt_boxes["sample 0"], boxes_at((1, 1)).double()])
    other = {
        token: predicted[token][torch.randperm(len(predicted[token]))]
        for token in sorted(predicted)
    }
    first, second = (score_boxes(found, gt_boxes, PARK) for found in (predicted, other))
    assert json.dumps(first.summary) == json.dumps(second.summary)


@few
@given(seeds, st.integers(0, 2))
def test_a_false_box_below_all_others_never_raises_ap(seed, label):
    predicted, gt_boxes = crowd(seed, PARK, samples=2)
    gt_boxes["sample 0"] = Boxes3D.cat([gt_boxes["sample 0"], boxes_at((1, 1)).double()])
    false = boxes_at((500, 0), label=label, score=0.01).double()
    more = {**predicted, "sample 1": Boxes3D.cat([predicted["sample 1"], false])}
    before, after = (score_boxes(some, gt_boxes, PARK).summary for some in (predicted, more))
    for name, aps in before["label_aps"].items():
        assert all(after["label_aps"][name][at] <= ap for at, ap in aps.items())


@few
@given(seeds, st.floats(-3, 3), st.floats(-50, 50))
def test_scores_do_not_depend_on_the_coordinate_frame(seed, turn, shift):
    predicted, gt_boxes = crowd(seed, PARK, samples=2)
    gt_boxes["sample 0"] = Boxes3D.cat([gt_boxes["sample 0"], boxes_at((1, 1)).double()])
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :2] = torch.tensor(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    )
    matrix[0, 3] = shift
    moved = [{t: b.transform(matrix) for t, b in some.items()} for some in (predicted, gt_boxes)]
    here, there = score_boxes(predicted, gt_boxes, PARK), score_boxes(*moved, PARK)
    assert official_keys(there.summary) == pytest.approx(
        official_keys(here.summary), rel=0, abs=1e-6, nan_ok=True
    )


def test_no_predictions_score_zero():
    scores = score_boxes({"a": Boxes3D.empty()}, {"a": boxes_at((10, 0))}, PARK).scores
    assert scores.figures == {"mAP": 0, "mATE": 1, "mASE": 1, "mAOE": 1}


def test_predictions_and_ground_truth_beyond_a_range_do_not_count():
    gt_boxes = {"a": boxes_at((10, 0), (0, -30))}
    near = {"a": Boxes3D.cat([boxes_at((10, 0)), boxes_at((0, 25), (20, 20), score=2.0)])}
    assert score_boxes(near, gt_boxes, VAN, within=25).scores.figures["mAP"] == pytest.approx(1)
    assert score_boxes(near, gt_boxes, VAN).scores.figures["mAP"] < 0.5
    summary = score_boxes(near, gt_boxes, VAN, within=25).summary
    assert summary["within"] == 25 and "within 25 m of the ego origin" in summary["note"]


def test_only_the_best_500_boxes_of_a_sample_count():
    gt_boxes = {"a": boxes_at((10, 0))}
    false = boxes_at(*[(20, 0)] * 499, score=0.9)
    lowest = {"a": Boxes3D.cat([false, boxes_at((10, 0), score=0.5)])}
    assert score_boxes(lowest, gt_boxes, VAN).details["van:0.5"]["precision"][100] == 1 / 500
    beyond = {"a": Boxes3D.cat([boxes_at((20, 0), score=0.9), lowest["a"]])}
    assert score_boxes(beyond, gt_boxes, VAN).details["van:0.5"]["precision"][100] == 0
    best = {"a": Boxes3D.cat([beyond["a"], boxes_at((10, 0), score=0.95)])}
    assert score_boxes(best, gt_boxes, VAN).details["van:0.5"]["precision"][99] == 1


def test_boxes_that_cannot_be_scored_are_refused():
    some, none = boxes_at((10, 0)), Boxes3D.empty()
    bad = replace(some, yaw=torch.tensor([math.nan]))
    flat_box = replace(some, size=torch.tensor([[4.0, 0.0, 2.0]]))
    other = replace(some, label=torch.tensor([7]))
    described = replace(some, attribute=torch.tensor([0]))
    for predicted, error in (
        ({"b": some}, r"lack 1 of 1 samples, the first is a;"),
        ({"a": bad}, r"Sample a has 1 of 1 predicted boxes .* not finite"),
        ({"a": flat_box}, r"Sample a .* not positive"),
        ({"a": other}, r"Sample a has a predicted box of class number 7; .* 3: van, gate, post"),
        ({"a": described}, r"predicted box of attribute number 0; .* has 0: none"),
    ):
        with pytest.raises(SubmissionError, match=error):
            score_boxes(predicted, {"a": some}, PARK)
    with pytest.raises(DataError, match="Sample a has 1 of 1 ground-truth boxes"):
        score_boxes({"a": some}, {"a": bad}, PARK)
    with pytest.raises(DataError, match="None of the 1 samples has ground truth of van, gate"):
        score_boxes({"a": some}, {"a": none}, PARK)
    with pytest.raises(DataError, match="within 5 m"):
        score_boxes({"a": some}, {"a": some}, PARK, within=5)
    with pytest.raises(DataError, match="None of the 0 samples"):
        score_boxes({}, {}, PARK)
    more = {"a": some, "b": bad}  # other samples are ignored
    assert score_boxes(more, {"a": some}, VAN).scores.figures["mAP"] == pytest.approx(1)


def test_weights_act_as_copies_of_samples():
    predicted, gt_boxes = crowd(1, PARK)
    matches = match_boxes(predicted, gt_boxes, PARK)
    assert matches.names == ("mAP",) and matches.tokens == tuple(sorted(gt_boxes))
    for weights in draws(np.arange(len(matches.tokens)), 5):
        copies = {
            f"{token} {number}": token
            for token, weight in zip(matches.tokens, weights, strict=True)
            for number in range(weight)
        }
        again = [{new: some[old] for new, old in copies.items()} for some in (predicted, gt_boxes)]
        expected = score_boxes(*again, PARK).scores.figures["mAP"]
        assert matches.scores(weights) == pytest.approx((expected,), rel=0, abs=1e-12)


def test_a_significant_difference_has_an_interval_above_zero():
    """Predictions, and the same without half of the boxes, on the same draws."""
    predicted, gt_boxes = crowd(2, PARK, samples=30)
    worse = {token: boxes[::2] for token, boxes in predicted.items()}
    scores = [match_boxes(some, gt_boxes, PARK).scores for some in (predicted, worse, predicted)]
    weights = draws(np.arange(30), 40)
    better, other, same = (replicate([score], weights) for score in scores)
    low, high = interval(better - other)
    assert 0 < low < high and (better == same).all()

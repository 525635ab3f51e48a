"""Average precision of groups: by hand, against a slow version, and against the metric."""

import numpy as np
import pytest
from made_boxes import NAMES, crowded, matched

from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.breakdown.divisions import Division, divisions
from bev.evaluation.breakdown.precision import group_precision
from bev.evaluation.detection.metrics import DISTANCES


def division_of(boxes: MatchedBoxes, name: str) -> Division:
    return next(one for one in divisions(boxes) if one.name == name)


def test_a_hit_counts_where_its_object_is_and_a_false_box_where_it_stands():
    """Two vans at 9.9 and 15 m; the first is detected at 10.2 m, in the band of the second."""
    gt_boxes = [("a", "van", 9.9, 0), ("a", "van", 0, 15)]
    predicted = [
        ("a", "van", 10.2, 0, {"score": 0.9}),
        ("a", "van", 0, 15, {"score": 0.8}),
        ("a", "van", 0, -15, {"score": 0.7}),  # false, in the second band
    ]
    boxes = matched(predicted, gt_boxes)
    found = group_precision(boxes, division_of(boxes, "range"))
    van = NAMES.index("van")
    assert found.num_gt[van].tolist() == [1, 1, 0, 0, 0, 0]
    # Second band: precision 1 up to a recall of 1, where the false box leaves a half. Recalls 0.11
    # to 1.00 count, with 0.1 taken off the precision.
    second = (89 * 0.9 + 0.4) / 90 / 0.9
    assert found.class_ap[van, :2] == pytest.approx([1.0, second], abs=1e-12)
    assert np.isnan(found.class_ap[van, 2:]).all()
    assert found.mean_ap[:2] == pytest.approx([1.0, second], abs=1e-12)  # of the classes there


def test_false_boxes_are_shared_out_where_detections_lack_the_property():
    """Three vans of low and one of full visibility, all found, then four false boxes."""
    gt_boxes = [("a", "van", 10 * n, 0, {"visibility": 1 if n < 3 else 4}) for n in range(4)]
    predicted = [("a", "van", 10 * n, 0, {"score": 0.9}) for n in range(4)]
    predicted += [("a", "van", 10 * n, 30, {"score": 0.5}) for n in range(4)]
    boxes = matched(predicted, gt_boxes)
    found = group_precision(boxes, division_of(boxes, "visibility"))
    van = NAMES.index("van")
    assert found.num_gt[van].tolist() == [3, 0, 0, 1]
    # Three of the four false boxes count in the first group, one in the last: at full recall, the
    # precision of either is a half, as that of all boxes.
    expected = (89 * 0.9 + 0.4) / 90 / 0.9
    assert found.class_ap[van, [0, 3]] == pytest.approx([expected] * 2, abs=1e-12)
    metrics = boxes.matches.metrics(np.ones(1, int))
    assert metrics.mean_dist_aps["van"] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", [0, 3])
def test_a_group_of_everything_has_the_metric(seed):
    boxes = crowded(seed)
    everything = Division(
        "all", "", "", ("all",), np.zeros(len(boxes.gt_boxes), int),
        np.zeros(len(boxes.predicted), int),
    )  # fmt: skip
    metrics = boxes.matches.metrics(np.ones(len(boxes.matches.tokens), int))
    for division in (everything, Division("", "", "", ("all",), everything.gt_group, None)):
        found = group_precision(boxes, division)
        assert dict(zip(NAMES, found.class_ap[:, 0].tolist(), strict=True)) == pytest.approx(
            metrics.mean_dist_aps, rel=1e-12
        )


def test_a_group_of_samples_has_the_metric_of_these_samples_alone():
    boxes = crowded(1)
    division = division_of(boxes, "time")
    found = group_precision(boxes, division)
    night = np.array([boxes.descriptions[scene].startswith("Night") for scene in boxes.scenes])
    for group, chosen in enumerate((~night, night)):
        aps = boxes.matches.metrics(chosen.astype(int)).mean_dist_aps
        assert found.class_ap[:, group].tolist() == pytest.approx([aps[n] for n in NAMES], abs=0)


@pytest.mark.parametrize("seed", [2, 5])
def test_all_divisions_equal_a_slow_version(seed):
    boxes = crowded(seed)
    for division in divisions(boxes):
        found = group_precision(boxes, division)
        for label, name in enumerate(NAMES):
            for group in range(len(division.groups)):
                expected = slow_ap(boxes, division, name, group)
                np.testing.assert_allclose(found.class_ap[label, group], expected, rtol=1e-12)


def slow_ap(boxes: MatchedBoxes, division: Division, name: str, group: int) -> float:
    """Average precision by single boxes, with a matching of its own."""
    predicted, gt_boxes = boxes.predicted, boxes.gt_boxes
    label = boxes.label_of(name)
    own = [row for row in range(len(gt_boxes)) if gt_boxes.label[row] == label]
    grouped = [row for row in own if division.gt_group[row] >= 0]
    members = [row for row in own if division.gt_group[row] == group]
    if not members:
        return np.nan
    rows = [row for row in range(len(predicted)) if predicted.label[row] == label]
    rows.sort(key=lambda row: (-predicted.score[row], -row))
    aps = []
    for reach in DISTANCES:
        taken, true, false, curve = set(), 0, 0.0, []
        for row in rows:
            near = [
                (np.hypot(*(predicted.translation[row] - gt_boxes.translation[other])[:2]), other)
                for other in own
                if gt_boxes.sample[other] == predicted.sample[row] and other not in taken
            ]
            distance, best = min(near, default=(np.inf, -1))
            if distance < reach:
                taken.add(best)
                if division.gt_group[best] != group:
                    continue
                true += 1
            elif division.predicted_group is None:
                false += len(members) / len(grouped)
            elif division.predicted_group[row] == group:
                false += 1
            else:
                continue
            curve.append((true / len(members), true / (true + false)))
        precision = np.zeros(101)
        if true:
            precision = np.interp(np.linspace(0, 1, 101), *zip(*curve, strict=True), right=0)
        aps.append(sum(max(value - 0.1, 0) for value in precision[11:]) / 90 / 0.9)
    return sum(aps) / len(aps)

"""The submission file: a worked row, the attribute rule, limits and refusals."""

import json
import math

import pytest
import torch
from nuscenes.eval.detection.data_classes import DetectionBox

from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.errors import SubmissionError
from bev.evaluation.nuscenes.results import read_results
from bev.evaluation.nuscenes.submission import (
    attribute_of,
    submission_rows,
    write_submission,
)
from bev.geometry import Boxes3D, rigid_transform, rotation_z

POSE = rigid_transform(
    rotation_z(torch.tensor(math.pi / 2, dtype=torch.float64)),
    torch.tensor([100.0, 200.0, 0.5], dtype=torch.float64),
)


def boxes(count: int = 1, **fields) -> Boxes3D:
    center = torch.tensor([[10.0, 2.0, 1.0]]).repeat(count, 1)
    size = torch.tensor([[4.0, 2.0, 1.5]]).repeat(count, 1)
    return Boxes3D.make(center, size, torch.zeros(count), **fields)


def test_a_worked_row():
    # The ego vehicle faces global +y, so 10 m ahead and 2 m left is an offset of (-2, 10).
    (row,) = submission_rows(
        "token", boxes(velocity=torch.tensor([[3.0, 0.0]]), score=torch.tensor([0.75])), POSE
    )
    assert row["sample_token"] == "token"
    assert row["translation"] == pytest.approx([98.0, 210.0, 1.5])
    assert row["size"] == pytest.approx([2.0, 4.0, 1.5])
    assert row["rotation"] == pytest.approx([math.sqrt(0.5), 0, 0, math.sqrt(0.5)])
    assert row["velocity"] == pytest.approx([0.0, 3.0], abs=1e-6)
    assert row["detection_name"] == "car"
    assert row["detection_score"] == 0.75
    assert row["attribute_name"] == "vehicle.moving"
    DetectionBox.deserialize(row)


@pytest.mark.parametrize(
    ("name", "at_rest", "in_motion"),
    [
        ("car", "vehicle.parked", "vehicle.moving"),
        ("truck", "vehicle.parked", "vehicle.moving"),
        ("trailer", "vehicle.parked", "vehicle.moving"),
        ("construction_vehicle", "vehicle.parked", "vehicle.moving"),
        ("bus", "vehicle.stopped", "vehicle.moving"),
        ("motorcycle", "cycle.without_rider", "cycle.with_rider"),
        ("bicycle", "cycle.without_rider", "cycle.with_rider"),
        ("pedestrian", "pedestrian.standing", "pedestrian.moving"),
        ("barrier", "", ""),
        ("traffic_cone", "", ""),
    ],
)
def test_the_attribute_rule(name, at_rest, in_motion):
    assert attribute_of(name, 0.19) == at_rest
    assert attribute_of(name, 0.21) == in_motion
    assert attribute_of(name, math.nan) == at_rest


def test_a_predicted_attribute_overrides_the_rule_if_the_class_has_any():
    sitting = ATTRIBUTES.index("pedestrian.sitting_lying_down")
    assert attribute_of("pedestrian", 5.0, sitting) == "pedestrian.sitting_lying_down"
    assert attribute_of("barrier", 5.0, sitting) == ""


def test_the_rule_uses_the_speed_not_one_component():
    label = torch.full((2,), CLASSES.index("pedestrian"))
    velocity = torch.tensor([[-0.15, -0.15], [-0.1, 0.1]])
    rows = submission_rows("t", boxes(2, velocity=velocity, label=label), POSE)
    assert [r["attribute_name"] for r in rows] == ["pedestrian.moving", "pedestrian.standing"]


def test_the_best_five_hundred_are_kept_in_order():
    score = torch.rand(700, generator=torch.Generator().manual_seed(0))
    rows = submission_rows("t", boxes(700, score=score), POSE)
    best = score.sort(descending=True).values[:500].tolist()
    assert [row["detection_score"] for row in rows] == best


@pytest.mark.parametrize("field", ["center", "size", "yaw", "score"])
def test_numbers_that_are_not_finite_are_refused_with_the_token(field):
    bad = boxes(3)
    getattr(bad, field)[1] = torch.nan
    with pytest.raises(SubmissionError, match="Sample abc has 1 of 3 predicted boxes"):
        submission_rows("abc", bad, POSE)


def test_a_size_of_zero_is_refused():
    bad = boxes(2)
    bad.size[0, 1] = 0
    with pytest.raises(SubmissionError, match="1 of 2 predicted boxes"):
        submission_rows("abc", bad, POSE)


def test_unknown_velocity_is_written_as_standing_still():
    (row,) = submission_rows("t", boxes(), POSE)
    assert row["velocity"] == [0.0, 0.0]
    assert row["attribute_name"] == "vehicle.parked"


def test_a_submission_is_written_and_read_back(tmp_path):
    rows = {"a": submission_rows("a", boxes(2), POSE), "b": []}
    path = write_submission(tmp_path / "new" / "results_nusc.json", rows)
    found, meta = read_results(path)
    assert found.tokens == ("a", "b") and list(found.sample) == [0, 0]
    read = [
        {
            "sample_token": found.tokens[found.sample[i]],
            "translation": found.translation[i].tolist(),
            "size": found.size[i].tolist(),
            "rotation": found.rotation[i].tolist(),
            "velocity": found.velocity[i].tolist(),
            "detection_name": found.names[found.label[i]],
            "detection_score": found.score[i],
            "attribute_name": found.attributes[found.attribute[i]],
        }
        for i in range(2)
    ]
    assert read == rows["a"]
    assert meta["use_camera"] is True
    assert meta["use_lidar"] is False
    assert [p.name for p in path.parent.iterdir()] == ["results_nusc.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", {"a": []})
    with pytest.raises(TypeError):
        write_submission(path, {"a": [{"score": object()}]})
    assert read_results(path)[0].tokens == ("a",)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist"),
        ("{", "not JSON"),
        (json.dumps({"results": {}}), "lacks 'results' or 'meta'"),
        (json.dumps([1]), "lacks 'results' or 'meta'"),
    ],
)
def test_files_that_are_no_submission_are_refused(tmp_path, text, message):
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SubmissionError, match=message):
        read_results(path)

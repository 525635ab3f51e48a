"""Tables with invalid values, or with valid values that are refused, before the first step."""

import json
import re

import pytest
from own_data import CAMERAS, VERSION
from own_runs import check, edit, reported, sentence, train, training_sample

NO_USABLE_BOX = pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("sample_annotation", {"num_lidar_pts": -1}),
        ("sample_annotation", {"num_lidar_pts": 0}),
        ("category", {"name": "car"}),
    ],
    ids=["points_unknown", "no_points", "unknown_category"],
)
ATTRIBUTES = pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("attribute", {"name": "vehicle_state.driving"}),
        ("sample_annotation", {"attribute_tokens": ["moving", "moving"]}),
    ],
    ids=["unknown", "two_a_box"],
)


@NO_USABLE_BOX
def test_check_data_reports_that_no_box_is_usable(own_root, table, fields):
    """OpenPCDet#415, BEVDet#198 (mAP 0 on own data); Lyft data have a num_lidar_pts of -1."""
    edit(own_root, table, **fields)
    assert check(own_root)[1]


@NO_USABLE_BOX
def test_training_reports_that_no_box_is_usable(
    own_root, tmp_path, started_trainers, capfd, table, fields
):
    """OpenPCDet#415, BEVDet#198 (mAP 0 on own data); Lyft data have a num_lidar_pts of -1."""
    edit(own_root, table, **fields)
    _, out, error = train(own_root, tmp_path)
    lines = reported(out, error, capfd.readouterr().err)  # and child processes
    assert any(re.search("box|categor", line) for line in lines)


@ATTRIBUTES
def test_check_data_reports_attributes_that_the_metrics_refuse(own_root, table, fields):
    """nuscenes-devkit#60 (at most one attribute); attributes of own data sets."""
    edit(own_root, table, **fields)
    assert check(own_root)[1]


@ATTRIBUTES
def test_attributes_that_the_metrics_refuse_are_reported_before_training(
    own_root, tmp_path, table, fields
):
    """nuscenes-devkit#60 (at most one attribute); attributes of own data sets."""
    edit(own_root, table, **fields)
    status, _, error = train(own_root, tmp_path)
    assert status == 0 or (sentence(error) and not list(tmp_path.rglob("*.ckpt")))


def test_a_visibility_token_may_be_any_string(own_root):
    """tier4_perception_dataset#16, #40 use UUIDs; nuScenes' schema has a foreign key."""
    token = "b1cfbd5b9b6e4a1c"
    rows = [{"token": token, "level": "v80-100", "description": ""}]
    (own_root / VERSION / "visibility.json").write_text(json.dumps(rows))
    edit(own_root, "sample_annotation", visibility_token=token)
    assert len(training_sample(own_root).boxes[0]) == len(CAMERAS)
    assert not check(own_root)[1]


def test_an_image_width_of_0_is_reported_in_one_sentence(own_root, tmp_path):
    """Custom converters leave unknown fields at 0."""
    edit(own_root, "sample_data", width=0, height=0)
    status, _, error = train(own_root, tmp_path)
    assert status == 1 and re.search("CAM_|sample_data", sentence(error))


def test_a_capitalised_modality_is_not_ignored(own_root):
    """Custom converters may capitalise names; check_data.py reads such images or reports them."""
    edit(own_root, "sensor", modality="Camera")
    out, found = check(own_root)
    assert ", 16 images," in out or found

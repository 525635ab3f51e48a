"""Tables that cannot be meant, or that are right and refused: said before the first step."""

import json
import re

import pytest
from own_data import CAMERAS, VERSION
from own_runs import check, edit, sentence, told, train, training_sample

from bev.errors import DataError

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


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="check_data.py finds nothing wrong where every box is left out of training",
)
@NO_USABLE_BOX
def test_the_check_tells_where_no_box_is_usable(own, table, fields):
    """OpenPCDet#415, BEVDet#198 (mAP 0 on own data); lyft data, whose num_lidar_pts is -1."""
    edit(own, table, **fields)
    assert check(own)[1]


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="training begins without a word where every box is left out of it",
)
@NO_USABLE_BOX
def test_training_tells_where_no_box_is_usable(own, tmp_path, begun, capfd, table, fields):
    """OpenPCDet#415, BEVDet#198 (mAP 0 on own data); lyft data, whose num_lidar_pts is -1."""
    edit(own, table, **fields)
    _, out, error = train(own, tmp_path)
    lines = told(out, error, capfd.readouterr().err)  # the last from processes that it starts
    assert any(re.search("box|categor", line) for line in lines)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="check_data.py finds nothing wrong with attributes that the metrics refuse",
)
@ATTRIBUTES
def test_the_check_tells_of_attributes_that_the_metrics_refuse(own, table, fields):
    """nuscenes-devkit#60 (at most one attribute); own data sets' attributes."""
    edit(own, table, **fields)
    assert check(own)[1]


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="attributes that the metrics refuse end a run after its last step, its results lost",
)
@ATTRIBUTES
def test_attributes_that_the_metrics_refuse_are_known_before_training(own, tmp_path, table, fields):
    """nuscenes-devkit#60 (at most one attribute); own data sets' attributes."""
    edit(own, table, **fields)
    status, _, error = train(own, tmp_path)
    assert status == 0 or (sentence(error) and not list(tmp_path.rglob("*.ckpt")))


@pytest.mark.xfail(
    strict=True,
    raises=DataError,
    reason="a visibility_token that is no number bars the data set",
)
def test_a_visibility_token_may_be_any_token(own):
    """tier4_perception_dataset#16, #40: a foreign key in nuScenes' schema, theirs is a UUID."""
    token = "b1cfbd5b9b6e4a1c"
    rows = [{"token": token, "level": "v80-100", "description": ""}]
    (own / VERSION / "visibility.json").write_text(json.dumps(rows))
    edit(own, "sample_annotation", visibility_token=token)
    assert len(training_sample(own).boxes[0]) == len(CAMERAS)
    assert not check(own)[1]


@pytest.mark.xfail(
    strict=True,
    raises=ZeroDivisionError,
    reason="an image whose width the tables give as 0 ends training in a traceback",
)
def test_a_width_of_0_is_one_sentence(own, tmp_path):
    """Data sets written by own converters, which leave fields that they do not know at 0."""
    edit(own, "sample_data", width=0, height=0)
    status, _, error = train(own, tmp_path)
    assert status == 1 and re.search("CAM_|sample_data", sentence(error))


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="check_data.py looks at no image of a modality 'Camera' and finds nothing wrong",
)
def test_a_modality_in_capitals_is_not_passed_over(own):
    """Data sets written by own converters: images are looked at, or the modality is told of."""
    edit(own, "sensor", modality="Camera")
    out, found = check(own)
    assert ", 16 images," in out or found

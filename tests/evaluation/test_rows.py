"""Rows of a results file of any program: good ones pass, each bad one is named in one sentence."""

import json

import pytest

from bev.errors import SubmissionError
from bev.evaluation.nuscenes.rows import check_rows

ROW = {
    "sample_token": "a",
    "translation": [1.0, 2, -3e4],
    "size": [1.9, 4.5, 1e-3],
    "rotation": [0.5, 0.0, 0.0, -2.0],
    "velocity": [float("nan"), 0.0],
    "detection_name": "car",
    "detection_score": 1,
    "attribute_name": "",
}


def test_good_rows_pass():
    check_rows("f.json", "a", [])
    check_rows("f.json", "a", [ROW, {**ROW, "attribute_name": "cycle.with_rider", "more": None}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": [1.0, 0.0, 1.0]}, r"'size' is \[1.0, 0.0, 1.0\]; .* numbers above 0"),
        ({"size": [1.0, -2.0, 1.0]}, "'size' is"),
        ({"size": None}, "'size' is None"),
        ({"translation": [1.0, 2.0]}, r"'translation' is \[1.0, 2.0\]; give three finite numbers"),
        ({"translation": [1.0, None, 2.0]}, "'translation' is"),
        ({"translation": [1.0, True, 2.0]}, "'translation' is"),
        ({"translation": [1.0, "2", 2.0]}, "'translation' is"),
        ({"translation": {"x": 1}}, "'translation' is {'x': 1}"),
        ({"translation": [float("inf"), 0.0, 0.0]}, "'translation' is"),
        ({"rotation": [0.0] * 4}, "'rotation' is .* a quaternion"),
        ({"rotation": [10**400, 0, 0, 0]}, "'rotation' is"),
        ({"velocity": [0.0, float("-inf")]}, "'velocity' is"),
        ({"velocity": []}, "'velocity' is"),
        ({"detection_name": "tram"}, "'detection_name' is 'tram'; give one of .*car, "),
        ({"detection_name": ["car"]}, "'detection_name' is"),
        ({"detection_score": float("nan")}, "'detection_score' is nan; give a finite number"),
        ({"detection_score": "0.5"}, "'detection_score' is '0.5'"),
        ({"attribute_name": "parked"}, "'attribute_name' is 'parked'; give empty or one of "),
        ({"attribute_name": None}, "'attribute_name' is None"),
        ({"sample_token": "b"}, "'sample_token' is 'b'; give the token of its sample"),
    ],
)  # fmt: skip
def test_a_bad_row_is_named(change, message):
    with pytest.raises(SubmissionError, match=f"f.json, sample a, box 1: {message}") as caught:
        check_rows("f.json", "a", [ROW, json.loads(json.dumps({**ROW, **change}))])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*ROW])
def test_a_missing_field_is_named(name):
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(SubmissionError, match=f"box 0: .*'{name}'"):
        check_rows("f.json", "a", [row])


@pytest.mark.parametrize("rows", [None, 3, "text", {"0": ROW}])
def test_rows_that_are_no_list_are_named(rows):
    with pytest.raises(SubmissionError, match="f.json has .* for sample a; give a list of boxes"):
        check_rows("f.json", "a", rows)
    with pytest.raises(SubmissionError, match="box 0: it is .*, not a mapping of fields"):
        check_rows("f.json", "a", ["text" if rows is None else [rows]])

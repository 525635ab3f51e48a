"""Predicted boxes in a file: written boxes are read back bit by bit, and damage is reported."""

import json
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bev.data.labels import LabelSpace, ObjectClass
from bev.errors import SubmissionError
from bev.evaluation.results_file import read_boxes, write_boxes
from bev.geometry import Boxes3D

CLASSES = (ObjectClass("van", ("slow", "fast")), ObjectClass("post"))
YARD = LabelSpace(CLASSES, ("slow", "fast"))


@st.composite
def some_boxes(draw) -> Boxes3D:
    count = draw(st.integers(0, 4))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))

    def numbers(*shape, low=-(2.0**99)):
        number = st.floats(low, 2.0**99, width=32 if dtype == torch.float32 else 64)
        size = int(torch.tensor(shape).prod())
        values = draw(st.lists(number, min_size=size, max_size=size))
        return torch.tensor(values, dtype=dtype).reshape(shape)

    known = torch.tensor(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    velocity = torch.where(known[:, None], numbers(count, 2), torch.nan)
    places = st.lists(st.integers(0, 1), min_size=count, max_size=count)
    attributes = st.lists(st.integers(-1, 1), min_size=count, max_size=count)
    return Boxes3D.make(
        numbers(count, 3),
        numbers(count, 3, low=2.0**-100),
        numbers(count),
        velocity,
        torch.tensor(draw(places), dtype=torch.long),
        numbers(count),
        torch.tensor(draw(attributes), dtype=torch.long),
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("results") / "new" / "results.json"


@settings(max_examples=40)
@given(some_boxes())
def test_written_boxes_are_read_back_bit_by_bit(path, boxes):
    write_boxes(path, {"a": boxes, "b": Boxes3D.empty()}, YARD)
    found = read_boxes(path, YARD)
    assert list(found) == ["a", "b"] and len(found["b"]) == 0
    for f in fields(Boxes3D):
        own, read = getattr(boxes, f.name), getattr(found["a"], f.name)
        assert own.dtype == read.dtype and own.shape == read.shape
        assert torch.equal(own.nan_to_num(nan=-7.0), read.nan_to_num(nan=-7.0))


def one_box() -> Boxes3D:
    return Boxes3D.make(torch.ones(1, 3), torch.ones(1, 3), torch.zeros(1))


def test_classes_are_kept_by_name(path):
    boxes = replace(one_box(), attribute=torch.tensor([1]))
    write_boxes(path, {"a": boxes}, YARD)
    found = read_boxes(path, LabelSpace(CLASSES[::-1], ("fast", "slow")))["a"]
    assert (int(found.label), int(found.attribute)) == (1, 0)


def test_the_file_is_as_documented(path):
    write_boxes(path, {"a": one_box()}, YARD)
    row = {"class": "van", "center": [1, 1, 1], "size": [1, 1, 1], "yaw": 0, "score": 1}
    assert json.loads(path.read_text()) == {
        "frame": "ego",
        "dtype": "float32",
        "results": {"a": [{**row, "velocity": None, "attribute": ""}]},
    }


def test_boxes_that_cannot_be_scored_leave_the_file_unchanged(path):
    write_boxes(path, {"a": one_box()}, YARD)
    before = path.read_bytes()
    with pytest.raises(SubmissionError, match="Sample b has 1 of 1 predicted boxes"):
        write_boxes(path, {"b": replace(one_box(), score=torch.tensor([torch.inf]))}, YARD)
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class": "tram"}, "sample a: a box has the class 'tram', .* it has van, post"),
        ({"class": ["van"]}, r"a box has the class \['van'\]"),
        ({"class": None}, "a box has the class None"),
        ({"attribute": "parked"}, "the attribute 'parked', .* it has slow, fast"),
        ({"center": [1, 2]}, r"the 'center' of a box is \[1, 2\], not 3 finite numbers"),
        ({"center": "far"}, "the 'center' of a box is 'far'"),
        ({"size": [1, 2, True]}, "the 'size' of a box is"),
        ({"size": [1, 2, -1]}, "Sample a has 1 of 1 predicted boxes .* not positive"),
        ({"yaw": float("nan")}, "the 'yaw' of a box is nan, not 1 finite number"),
        ({"yaw": 1e300}, "Sample a has 1 of 1 predicted boxes .* not finite"),
        ({"score": 10**400}, "the 'score' of a box is 1000"),
        ({"score": None}, "the 'score' of a box is None"),
        ({"velocity": [0, "fast"]}, "the 'velocity' of a box is"),
    ],
)
def test_a_damaged_box_is_reported(path, change, message):
    write_boxes(path, {"a": one_box()}, YARD)
    content = json.loads(path.read_text())
    content["results"]["a"][0] |= change
    path.write_text(json.dumps(content))
    with pytest.raises(SubmissionError, match=message) as caught:
        read_boxes(path, YARD)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "lacks 'results'"),
        ('{"results": {}}', "its 'frame' is not 'ego'"),
        ('{"results": [], "frame": "ego"}', "lacks 'results'"),
        ('{"results": {}, "frame": "ego", "dtype": ["float16"]}', "'dtype' is none of float32"),
        ('{"results": {"a": {}}, "frame": "ego"}', "sample a: it should be a list of boxes"),
        ('{"results": {"a": [1]}, "frame": "ego"}', "sample a: it should be a list of boxes"),
    ],
)
def test_a_file_of_another_format_is_reported(path, text, message):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(SubmissionError, match=message):
        read_boxes(path, YARD)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(SubmissionError, match="results.json does not exist"):
        read_boxes(tmp_path / "results.json", YARD)

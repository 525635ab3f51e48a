"""File of boxes: what is written is read back exactly, and faults are named."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bev.data.boxes_file import (
    BoxesFile,
    FrameBoxes,
    GrowingBoxes,
    read_boxes,
    to_json,
    write_boxes,
)
from bev.errors import DataError
from bev.geometry import Boxes3D

CLASSES, ATTRIBUTES = ("van", "post"), ("slow", "fast")


@st.composite
def some_boxes(draw) -> Boxes3D:
    count = draw(st.integers(0, 3))

    def numbers(*shape, low=-(2.0**40), high=2.0**40):
        number = st.floats(low, high, width=32)
        size = int(np.prod(shape))
        values = draw(st.lists(number, min_size=size, max_size=size))
        return torch.tensor(values, dtype=torch.float32).reshape(shape)

    def places(low):
        return st.lists(st.integers(low, 1), min_size=count, max_size=count)

    known = torch.tensor(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    return Boxes3D.make(
        numbers(count, 3),
        numbers(count, 3, low=2.0**-40),
        numbers(count),
        torch.where(known[:, None], numbers(count, 2), torch.nan),
        torch.tensor(draw(places(0)), dtype=torch.long),
        numbers(count, low=0.0, high=1.0),
        torch.tensor(draw(places(-1)), dtype=torch.long),
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("boxes") / "new" / "boxes.json"


@settings(max_examples=12)
@given(some_boxes(), st.integers(-(2**63) + 1, 2**63 - 1), st.text(min_size=1))
def test_what_is_written_is_read_back_exactly(path, boxes, timestamp, name):
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, 3] = torch.tensor([1e6 / 3, -0.1, 2.0**-30], dtype=torch.float64)
    tracks = tuple(f"{name}{number}" for number in range(len(boxes)))
    written = FrameBoxes(name, boxes, "scene", timestamp, pose, tracks, {"CAM": "a/1.jpg"})
    alone = FrameBoxes(f"{name}'", Boxes3D.empty())
    write_boxes(path, BoxesFile((written, alone), CLASSES, ATTRIBUTES, {"model": name}))
    found = read_boxes(path)
    assert (found.classes, found.attributes, found.info) == (CLASSES, ATTRIBUTES, {"model": name})
    one, other = found.frames
    for field in fields(Boxes3D):
        own, read = (getattr(frame.boxes, field.name) for frame in (written, one))
        assert own.dtype == read.dtype
        assert torch.equal(own.nan_to_num(nan=-7.0), read.nan_to_num(nan=-7.0)), field.name
    assert torch.equal(one.global_from_ego, pose)
    for field in ("token", "scene", "timestamp", "tracks", "images"):
        assert getattr(one, field) == getattr(written, field)
    assert (other.timestamp, other.global_from_ego, other.tracks) == (None, None, ())


def test_numbers_have_no_more_digits_than_float32():
    boxes = Boxes3D.make(*(torch.full(shape, 0.1) for shape in ((1, 3), (1, 3), (1,))))
    text = to_json(BoxesFile((FrameBoxes("a", boxes),), CLASSES))
    assert json.loads(text)["frames"][0]["boxes"][0]["center"] == [0.1, 0.1, 0.1]


def by_hand() -> dict:
    """A file that has nothing but what must be there."""
    box = {"class": "van", "center": [1, 2, 3], "size": [4, 2, 1.5], "yaw": 0}
    return {
        "format": "bevlab-boxes-1",
        "units": {"length": "m", "angle": "rad", "velocity": "m/s", "time": "us"},
        "frame": "ego",
        "classes": ["van", "post"],
        "frames": [{"token": "a", "boxes": [box, {**box, "class": "post", "track": 7}]}],
    }


def test_what_is_left_out_is_unknown(path):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(by_hand()))
    (frame,) = read_boxes(path).frames
    assert frame.tracks == ("", "7") and frame.scene == "" and frame.timestamp is None
    boxes = frame.boxes
    assert boxes.label.tolist() == [0, 1] and boxes.score.tolist() == [1, 1]
    assert boxes.attribute.tolist() == [-1, -1] and boxes.velocity.isnan().all()


def changed(**values):
    return lambda content: content.update(values)


def in_frame(**values):
    return lambda content: content["frames"][0].update(values)


def in_box(**values):
    return lambda content: content["frames"][0]["boxes"][1].update(values)


def twice(content):
    content["frames"] *= 2


def without_size(content):
    del content["frames"][0]["boxes"][1]["size"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content.pop("format"), ["format"]),
        (changed(format="coco"), ["'coco'", "bevlab-boxes-1"]),
        (changed(units={"length": "cm"}), ["'cm'", "convert"]),
        (changed(frame="lidar"), ["'lidar'", "ego"]),
        (changed(classes=[]), ["classes", "empty"]),
        (changed(classes=["van", "van"]), ["'van'", "twice"]),
        (changed(boxes=[]), ["'boxes'", "did you mean"]),
        (changed(frames={}), ["'frames'"]),
        (changed(frames=[{"boxes": []}]), ["frame 0", "'token'"]),
        (twice, ["two frames", "'a'"]),
        (in_frame(timestamp=1.5), ["frame 'a'", "1.5", "microseconds"]),
        (in_frame(time=1), ["frame 'a'", "'time'", "did you mean"]),
        (in_frame(global_from_ego=[[1]]), ["frame 'a'", "4x4"]),
        (in_frame(global_from_ego=[[2, 0, 0, 0]] * 4), ["frame 'a'", "rotation"]),
        (in_frame(images=["1.jpg"]), ["frame 'a'", "images"]),
        (in_frame(boxes=None), ["frame 'a'", "boxes", "None"]),
        (in_frame(boxes=[3]), ["box 0", "3"]),
        (without_size, ["frame 'a'", "box 1", "lacks 'size'"]),
        (in_box(label="van"), ["box 1", "'label'", "did you mean"]),
        (in_box(size=[1, 2, 0]), ["box 1", "above 0"]),
        (in_box(size=[1, 2]), ["box 1", "'size'", "3 finite numbers"]),
        (in_box(center=[1, 2, 1e300]), ["box 1", "float32"]),
        (in_box(velocity=[1, 1e300]), ["box 1", "'velocity'", "float32"]),
        (in_box(yaw=float("nan")), ["box 1", "'yaw'", "nan"]),
        (in_box(score=1.5), ["box 1", "'score'"]),
        (in_box(**{"class": "tree"}), ["box 1", "'tree'", "van, post"]),
        (in_box(attribute="slow"), ["box 1", "'slow'"]),
        (in_box(track=1.5), ["box 1", "'track'", "1.5"]),
        (in_box(velocity=[1]), ["box 1", "'velocity'"]),
    ],
)
def test_a_fault_is_named_in_one_sentence(path, damage, words):
    content = by_hand()
    damage(content)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        read_boxes(path)
    message = str(caught.value)
    assert message.startswith(f"File of boxes {path}")
    assert [word for word in words if word not in message] == []
    assert "\n" not in message and len(message) < 600


def test_a_track_may_occur_once_in_a_frame(path):
    content = by_hand()
    for box in content["frames"][0]["boxes"]:
        box["track"] = "7"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="box 1: another box of the frame has the track '7'"):
        read_boxes(path)


@pytest.mark.parametrize("content", ["", "[" * 100_000, "\ud800".encode("utf8", "surrogatepass")])
def test_a_file_that_is_not_json_is_named(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match="is not JSON"):
        read_boxes(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(DataError, match="missing.json cannot be read"):
        read_boxes(path.with_name("missing.json"))


def made_content(count: int) -> BoxesFile:
    boxes = Boxes3D.make(
        torch.ones(1, 3), torch.ones(1, 3), torch.zeros(1), torch.zeros(1, 2),
        torch.zeros(1, dtype=torch.long), torch.ones(1), torch.zeros(1, dtype=torch.long),
    )  # fmt: skip
    frames = tuple(FrameBoxes(f"{number:04d}", boxes) for number in range(count))
    return BoxesFile(frames, CLASSES, ATTRIBUTES, {"model": "made"})


def test_a_growing_file_is_whole_and_marked_until_its_end(path, monkeypatch):
    monkeypatch.setattr("bev.data.boxes_file.writing._OFTEN", -1.0)
    monkeypatch.setattr("bev.data.boxes_file.writing._SHARE", 0.0)
    content = made_content(3)
    with GrowingBoxes(path, replace(content, frames=())) as growing:
        for number, frame in enumerate(content.frames, 1):
            growing.add(frame)
            found = read_boxes(path)
            assert len(growing) == len(found.frames) == number
            assert found.info == {"model": "made", "unfinished": True}
    assert path.read_text() == to_json(content)


def test_a_growing_file_is_written_at_intervals_and_after_an_error(path, monkeypatch):
    clock, content = [0.0], made_content(20)
    monkeypatch.setattr("bev.data.boxes_file.writing.time.monotonic", lambda: clock[0])
    seen = []
    with pytest.raises(KeyboardInterrupt), GrowingBoxes(path, content) as growing:
        for frame in content.frames:
            clock[0] += 0.25
            growing.add(frame)
            seen.append(len(read_boxes(path).frames))
        raise KeyboardInterrupt
    assert sorted(set(seen)) == [1, 10, 19]  # each 2.25 s, the first step above 2
    found = read_boxes(path)
    assert len(found.frames) == 20 and found.info["unfinished"]


def test_an_error_before_the_first_frame_leaves_an_earlier_file(path):
    content = made_content(1)
    write_boxes(path, content)
    with pytest.raises(KeyError), GrowingBoxes(path, made_content(0)):
        raise KeyError
    assert path.read_text() == to_json(content)

"""Times and ego frames of boxes beside those of their images."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bev.data.boxes_file import FrameBoxes
from bev.data.boxes_file.reference import partly_stated, referred, same_times
from bev.data.frame import CameraFrame, Frame
from bev.errors import DataError
from bev.geometry import Boxes3D

POSES = Path("poses.csv")


def pose(x: float, yaw: float = 0.0) -> torch.Tensor:
    cos, sin = math.cos(yaw), math.sin(yaw)
    rows = [[cos, -sin, 0, x], [sin, cos, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    return torch.tensor(rows, dtype=torch.float64)


CAMERA = CameraFrame("front", Path("a.png"), (9, 16), torch.eye(3).double(), pose(1.5))
FRAME = Frame("a", (CAMERA,), timestamp=5_000_000, global_from_ego=pose(20.0, 0.3))
ENTRY = FrameBoxes("a", Boxes3D.empty(), timestamp=5_400_000, global_from_ego=pose(23.0, 0.5))


def test_images_stay_in_the_world_and_the_frame_is_that_of_the_boxes():
    moved = referred(FRAME, ENTRY, True, POSES, "File")
    assert moved.timestamp == 5_400_000 and torch.equal(moved.global_from_ego, pose(23.0, 0.5))
    torch.testing.assert_close(
        moved.global_from_ego @ moved.cameras[0].ego_from_camera,
        FRAME.global_from_ego @ CAMERA.ego_from_camera,
    )


def test_images_without_poses_ride_with_the_boxes():
    moved = referred(FRAME, ENTRY, True, None, "File")
    assert torch.equal(moved.cameras[0].ego_from_camera, CAMERA.ego_from_camera)
    assert torch.equal(moved.global_from_ego, pose(23.0, 0.5))
    nothing = replace(ENTRY, timestamp=None, global_from_ego=None)
    assert referred(FRAME, nothing, True, None, "File") is FRAME


def test_boxes_far_from_their_images_are_refused():
    late = replace(ENTRY, timestamp=6_000_001)
    with pytest.raises(DataError, match="File has the timestamp 6000001, but its images are of 50"):
        referred(FRAME, late, True, POSES, "File")
    assert referred(FRAME, late, False, POSES, "File").timestamp == 6_000_001  # assumed times
    with pytest.raises(DataError, match="File: its global_from_ego is 10.5 m from that of poses"):
        referred(FRAME, replace(ENTRY, global_from_ego=pose(30.5, 0.3)), True, POSES, "File")


def test_two_frames_of_one_time_are_named():
    frames = [replace(FRAME, token=name, timestamp=time) for name, time in (("a", 0), ("b", 0))]
    assert "'a' and 'b' have the same time, 0 microseconds" in str(same_times(frames, "File"))
    frames[1] = replace(frames[1], timestamp=1)
    assert same_times(frames, "File") is None


def test_what_only_some_frames_state_is_named_unless_the_images_have_it():
    bare = replace(ENTRY, timestamp=None)
    entries = {"a": ENTRY, "b": bare}
    assert "File, frame 'b' has no timestamp" in str(partly_stated(entries, False, POSES, "File"))
    unlisted = str(partly_stated({"a": ENTRY, "b": None}, True, None, "File"))
    assert "File does not list frame 'b', whose images have no global_from_ego" in unlisted
    for fine in (entries, {"a": ENTRY, "b": None}):
        assert partly_stated(fine, True, POSES, "File") is None
    assert partly_stated({"a": ENTRY, "b": ENTRY}, False, None, "File") is None
    assert partly_stated({"a": None, "b": None}, False, None, "File") is None

"""Lines and bodies of the viewer against hand-worked places, and against the project's geometry."""

import math

import numpy as np
import pytest
from made_scene import FORWARD, boxes, made_recording

from bev.visualization.viewer import shapes
from bev.visualization.viewer.contents import CameraPicture


def turned(axis: int, angle: float) -> np.ndarray:
    """Pose that turns about an axis of the scene."""
    pose, (a, b) = np.eye(4), [one for one in range(3) if one != axis]
    pose[a, a] = pose[b, b] = math.cos(angle)
    pose[a, b], pose[b, a] = -math.sin(angle), math.sin(angle)
    return pose


def test_the_front_of_a_box_lies_along_its_heading():
    corners = shapes.corners(boxes((10, 3, math.pi / 2, 0, 0)), np.eye(4))[0]
    assert corners[:4].mean(axis=0) == pytest.approx((10, 5, 0.75))
    assert corners.min(axis=0) == pytest.approx((9, 1, 0)) and corners[0, 2] == 1.5
    (rotation,) = shapes.rotations(corners[None])
    assert rotation == pytest.approx(np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]]), abs=1e-12)


def test_boxes_are_level_in_the_scene_while_the_vehicle_pitches():
    """As in nuScenes' global frame; the vehicle's own frame is tilted against them."""
    pose = turned(1, 0.1)
    (corners,) = shapes.corners(boxes((10, 3, 0.4, 0, 0)), pose)
    in_scene = shapes.moved(pose, corners)
    assert np.ptp(in_scene[[0, 1, 4, 5], 2]) < 1e-9 and np.ptp(in_scene[:, 2]) == pytest.approx(1.5)
    (rotation,) = shapes.rotations(corners[None])
    assert rotation @ rotation.T == pytest.approx(np.eye(3))
    assert (pose[:3, :3] @ rotation)[2] == pytest.approx((0, 0, 1))
    # The body that is clicked fills the same corners.
    unit = np.array([[0.5, 0.5, 0.5], [0.5, -0.5, 0.5]]) * (4, 2, 1.5)
    assert unit @ rotation.T + corners.mean(axis=0) == pytest.approx(corners[:2])


def test_a_frustum_ends_at_the_corners_of_its_image():
    camera = CameraPicture("front", FORWARD, (-0.5, -0.25, 1.0, 0.5), b"")
    lines = shapes.frustum(camera, 4.0)
    assert lines.shape == (8, 2, 3) and (lines[:4, 0] == (1, 0, 1.5)).all()
    # Left in the image is +y of the vehicle, and up is +z.
    assert lines[0, 1] == pytest.approx((5, 2, 2.5)) and lines[2, 1] == pytest.approx((5, -4, -0.5))


def test_tracks_are_paths_in_the_frame_of_the_moment():
    """The vehicle drives 1 m a moment towards a standing box, so the box does not move."""
    recording = made_recording(moments=4)
    lines, labels = shapes.track_lines(recording, 3, 0, seconds=1.0)
    assert labels.tolist() == [0, 1, 0, 1]
    assert lines[[0, 2]] == pytest.approx(np.full((2, 2, 3), (17, 0, 0.75)))
    # The other keeps its place beside the vehicle, so it moves with it.
    assert lines[1] == pytest.approx(np.array([[4, 8, 0.75], [5, 8, 0.75]]))
    assert len(shapes.track_lines(recording, 0, 0, 9.0)[0]) == 0
    assert len(shapes.track_lines(recording, 3, 0, 9.0)[0]) == 6


def test_front_faces_are_triangles_of_the_front_corners():
    corners = shapes.corners(boxes((10, 3, 0, 0, 0), (0, 0, 0, 0, 0)), np.eye(4))
    vertices, faces = shapes.front_faces(corners)
    triangles = vertices[faces]
    assert (triangles[:2, :, 0] == 12).all() and (triangles[2:, :, 0] == 2).all()
    sides = np.linalg.norm(np.cross(*(triangles[:, n] - triangles[:, 0] for n in (1, 2))), axis=1)
    assert sides / 2 == pytest.approx(np.full(4, 1.5))  # half of 2 x 1.5 m

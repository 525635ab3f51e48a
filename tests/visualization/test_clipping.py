"""Clipping to a camera's view: worked cases and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev.visualization.clipping import clip_polygon, clip_segments, view_planes

INTRINSICS = np.array([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])
SIZE = (90, 160)
NEAR_ONLY = np.array([[0.0, 0, 1, 0.1]])
numbers = st.floats(-50, 50)
points = st.tuples(numbers, numbers, numbers)


def test_an_edge_through_the_near_plane_is_cut_there():
    segment = np.array([[[0.0, 0, -1.9], [0, 4, 2.1]]])
    (cut,) = clip_segments(segment, NEAR_ONLY)
    assert cut.tolist() == [[0, pytest.approx(2.0), pytest.approx(0.1)], [0, 4, 2.1]]


def test_edges_behind_the_camera_vanish_and_edges_in_view_stay():
    behind = [[0.0, 0, -5], [1, 1, -2]]
    seen = [[0.0, 0, 5], [0.5, 0.2, 9]]
    cut = clip_segments(np.array([behind, seen]), view_planes(INTRINSICS, SIZE))
    assert cut.tolist() == [seen]


def test_edges_wholly_beyond_one_border_vanish_and_crossing_ones_reach_it():
    planes = view_planes(INTRINSICS, SIZE, margin=0.0)
    beyond = [[10.0, 0, 5], [12, 0, 6]]
    crossing = [[0.0, 0, 10], [16, 0, 10]]  # pixel x 80 to 240, the border is at 160
    (cut,) = clip_segments(np.array([beyond, crossing]), planes)
    assert cut[1].tolist() == pytest.approx([8, 0, 10])


def test_a_face_half_behind_the_camera_keeps_its_front_half():
    face = np.array([[-1.0, 1, -2], [1, 1, -2], [1, 1, 2], [-1, 1, 2]])
    cut = clip_polygon(face, NEAR_ONLY)
    assert len(cut) == 4
    assert sorted(cut[:, 2].tolist()) == pytest.approx([0.1, 0.1, 2, 2])
    assert len(clip_polygon(face - [0, 0, 10], NEAR_ONLY)) == 0


@given(points, points)
def test_clipped_edges_project_into_the_image_and_stay_on_the_edge(first, second):
    segment = np.array([[first, second]])
    for start, end in clip_segments(segment, view_planes(INTRINSICS, SIZE, margin=8.0)):
        for point in (start, end):
            x, y, z = INTRINSICS @ point
            assert z >= 0.1 - 1e-9
            assert -8 - 1e-6 <= x / z <= 168 + 1e-6
            assert -8 - 1e-6 <= y / z <= 98 + 1e-6
            off_line = np.cross(point - first, np.subtract(second, first))
            assert np.abs(off_line).max() < 1e-8 * (1 + np.linalg.norm(np.subtract(second, first)))


@given(points, points, st.floats(0, 1))
def test_no_visible_point_of_an_edge_is_lost(first, second, share):
    point = np.array(first) + share * np.subtract(second, first)
    planes = view_planes(INTRINSICS, SIZE)
    if (planes[:, :3] @ point < planes[:, 3] + 1e-6).any() or first == second:
        return
    (cut,) = clip_segments(np.array([[first, second]]), planes)
    length = np.linalg.norm(cut[1] - cut[0])
    through = np.linalg.norm(cut[0] - point) + np.linalg.norm(cut[1] - point)
    assert through == pytest.approx(length, abs=1e-6)

"""Boxes: worked corners, and transforms that move a box with its corners."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyquaternion import Quaternion

from bev.data.nuscenes.boxes import to_nuscenes
from bev.geometry import Boxes3D, apply_transform, bev_transform, rigid_transform, rotation_z


def one(center=(10.0, 4.0, 1.0), size=(4.6, 1.9, 1.6), yaw=0.3, velocity=(2.0, -1.0)) -> Boxes3D:
    rows = [torch.tensor([value], dtype=torch.float64) for value in (center, size, yaw, velocity)]
    return Boxes3D.make(*rows)


def same_points(first: torch.Tensor, second: torch.Tensor, tolerance: float) -> None:
    """Assert that two sets of points are equal, in any order."""
    distance = torch.cdist(first, second)
    assert distance.min(dim=1).values.max() < tolerance
    assert sorted(distance.argmin(dim=1).tolist()) == list(range(len(second)))


def test_corners_of_a_worked_box():
    # Heading left (+y): length runs along y, width along x.
    corners = one((10.0, 4.0, 1.0), (4.0, 2.0, 1.0), math.pi / 2).corners()[0]
    front_left_top, front_right_bottom, rear_left_bottom = corners[0], corners[2], corners[7]
    assert front_left_top.tolist() == pytest.approx([9.0, 6.0, 1.5])
    assert front_right_bottom.tolist() == pytest.approx([11.0, 6.0, 0.5])
    assert rear_left_bottom.tolist() == pytest.approx([9.0, 2.0, 0.5])


def test_the_footprint_starts_at_the_front_left():
    footprint = one((0.0, 0.0, 0.0), (4.0, 2.0, 1.0), 0.0).footprint()[0]
    assert footprint.tolist() == [[2, 1], [2, -1], [-2, -1], [-2, 1]]


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.8, 1.2), st.booleans(), st.booleans())
def test_moving_a_box_moves_its_corners(yaw, rotation, scale, flip_x, flip_y):
    matrix = bev_transform(rotation, scale, flip_x, flip_y).double()
    box = one(yaw=yaw)
    moved = box.transform(matrix)
    same_points(moved.corners()[0], apply_transform(matrix, box.corners()[0]), 1e-5)
    # The front stays the front.
    front = apply_transform(matrix, box.corners()[0, :4].mean(dim=0))
    torch.testing.assert_close(moved.corners()[0, :4].mean(dim=0), front, atol=1e-5, rtol=0)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.8, 1.2), st.booleans(), st.booleans())
def test_velocity_is_the_motion_of_the_centre(yaw, rotation, scale, flip_x, flip_y):
    matrix = bev_transform(rotation, scale, flip_x, flip_y).double()
    now = one(yaw=yaw)
    later = one(center=(12.0, 3.0, 1.0), yaw=yaw)  # one second later at velocity (2, -1)
    motion = (later.transform(matrix).center - now.transform(matrix).center)[:, :2]
    torch.testing.assert_close(now.transform(matrix).velocity, motion, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("flips", "yaw", "velocity"),
    [
        ({"flip_y": True}, -0.3, (2.0, 1.0)),
        ({"flip_x": True}, math.pi - 0.3, (-2.0, -1.0)),
        ({"flip_x": True, "flip_y": True}, 0.3 - math.pi, (-2.0, 1.0)),
    ],
)
def test_flips_of_a_worked_box(flips, yaw, velocity):
    moved = one().transform(bev_transform(**flips))
    assert moved.yaw.item() == pytest.approx(yaw, abs=1e-6)
    assert moved.velocity[0].tolist() == pytest.approx(velocity, abs=1e-6)
    assert moved.size[0].tolist() == pytest.approx([4.6, 1.9, 1.6])


@given(st.floats(-3, 3), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1), st.floats(-3, 3))
def test_a_tilted_pose_and_its_inverse_change_nothing(heading, pitch, roll, yaw):
    turn = Quaternion(axis=[0, 0, 1], radians=heading)
    turn = (
        turn * Quaternion(axis=[0, 1, 0], radians=pitch) * Quaternion(axis=[1, 0, 0], radians=roll)
    )
    offset = torch.tensor([600.0, 1600.0, 0.0], dtype=torch.float64)
    global_from_ego = rigid_transform(torch.from_numpy(turn.rotation_matrix), offset)
    box = one(yaw=yaw)
    back = box.transform(global_from_ego).transform(torch.inverse(global_from_ego))
    torch.testing.assert_close(back.center, box.center)
    torch.testing.assert_close(back.velocity, box.velocity)
    same_points(back.corners()[0], box.corners()[0], 1e-9)
    assert box.transform(global_from_ego).velocity.norm() == pytest.approx(math.sqrt(5))


def test_unknown_velocity_stays_unknown():
    boxes = Boxes3D.make(torch.zeros(2, 3), torch.ones(2, 3), torch.zeros(2))
    assert boxes.transform(bev_transform(rotation=1.0)).velocity.isnan().all()


def test_nuscenes_form_is_width_length_height_and_quaternion():
    ego_yaw = 0.7
    pose = rigid_transform(
        rotation_z(torch.tensor(ego_yaw, dtype=torch.float64)),
        torch.tensor([100.0, 200.0, 0.0], dtype=torch.float64),
    )
    (row,) = to_nuscenes(one(), pose)
    assert row["size"] == pytest.approx([1.9, 4.6, 1.6])
    assert Quaternion(row["rotation"]).yaw_pitch_roll[0] == pytest.approx(0.3 + ego_yaw)
    cos, sin = np.cos(ego_yaw), np.sin(ego_yaw)
    assert row["translation"] == pytest.approx(
        [100 + 10 * cos - 4 * sin, 200 + 10 * sin + 4 * cos, 1.0]
    )
    assert row["velocity"] == pytest.approx([2 * cos + sin, 2 * sin - cos])


def test_indexing_and_concatenating_keep_fields_together():
    boxes = Boxes3D.cat([one(center=(float(i), 0.0, 0.0), yaw=i / 10) for i in range(4)])
    chosen = boxes[torch.tensor([3, 1])]
    assert chosen.center[:, 0].tolist() == [3, 1]
    assert chosen.yaw.tolist() == pytest.approx([0.3, 0.1])
    assert len(Boxes3D.cat([])) == 0
    assert len(Boxes3D.cat([Boxes3D.empty(), boxes.to("cpu")[:2]])) == 2
    assert Boxes3D.empty().corners().shape == (0, 8, 3)

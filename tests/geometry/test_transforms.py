"""Rigid transforms and BEV augmentation: worked cases and group properties."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.geometry import (
    apply_transform,
    bev_transform,
    inverse_rigid,
    is_rigid,
    rigid_fault,
    rigid_transform,
    rotation_z,
)

angles = st.floats(-10, 10)
offsets = st.tuples(*[st.floats(-1000, 1000)] * 3)


def rotation(a: float, b: float, c: float) -> torch.Tensor:
    """A general rotation: about z, then about y, then about z."""
    cos, sin = math.cos(b), math.sin(b)
    about_y = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float64)
    first, last = (rotation_z(torch.tensor(x, dtype=torch.float64)) for x in (a, c))
    return last @ about_y @ first


@given(a=angles, b=angles, c=angles, offset=offsets)
def test_a_fault_of_a_transform_is_named(a, b, c, offset):
    pose = rigid_transform(rotation(a, b, c), torch.tensor(offset, dtype=torch.float64))
    assert is_rigid(pose) and is_rigid(pose.float()) and is_rigid(pose.round(decimals=4))
    mirrored, skewed, scaled, endless = (pose.clone() for _ in range(4))
    mirrored[:3, 0] *= -1
    skewed[3, 0] = 0.01
    scaled[:3, :3] *= 1.001
    endless[0, 3] = torch.inf
    faults = [rigid_fault(pose) for pose in (mirrored, skewed, scaled, endless)]
    words = ["mirrors", "last row", "identity by 0.002", "not finite"]
    assert [word for word, fault in zip(words, faults, strict=True) if word not in fault] == []
    assert not any(is_rigid(pose) for pose in (mirrored, skewed, scaled, endless))


def test_rotation_z_turns_forward_to_left():
    turned = rotation_z(torch.tensor(math.pi / 2)) @ torch.tensor([1.0, 0.0, 5.0])
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0, 5.0]), atol=1e-6, rtol=0)


def test_rigid_transform_rotates_before_it_translates():
    target_from_source = rigid_transform(
        rotation_z(torch.tensor(math.pi / 2)), torch.tensor([10.0, 20.0, 30.0])
    )
    moved = apply_transform(target_from_source, torch.tensor([[1.0, 2.0, 3.0]]))
    torch.testing.assert_close(moved, torch.tensor([[8.0, 21.0, 33.0]]), atol=1e-5, rtol=0)


@given(angles, angles, angles, offsets)
def test_inverse_is_the_general_inverse(a, b, c, offset):
    matrix = rigid_transform(rotation(a, b, c), torch.tensor(offset, dtype=torch.float64))
    torch.testing.assert_close(inverse_rigid(matrix), torch.inverse(matrix), atol=1e-9, rtol=0)


@given(angles, angles, offsets)
def test_products_read_from_right_to_left(a, b, offset):
    offset = torch.tensor(offset, dtype=torch.float64)
    b_from_a = rigid_transform(rotation(a, b, 0.3), offset)
    c_from_b = rigid_transform(rotation(b, 0.2, a), offset.flip(0))
    points = torch.tensor([[1.0, -2.0, 3.0], [40.0, 5.0, -6.0]], dtype=torch.float64)
    torch.testing.assert_close(
        apply_transform(c_from_b @ b_from_a, points),
        apply_transform(c_from_b, apply_transform(b_from_a, points)),
    )


def test_batch_of_matrices_moves_each_row_by_its_own():
    matrices = rigid_transform(
        rotation_z(torch.tensor([[0.0, 0.5], [1.0, 1.5]])), torch.arange(12.0).reshape(2, 2, 3)
    )
    points = torch.randn(2, 2, 7, 3, generator=torch.Generator().manual_seed(0))
    moved = apply_transform(matrices, points)
    for i in range(2):
        for j in range(2):
            alone = apply_transform(matrices[i, j], points[i, j])
            torch.testing.assert_close(moved[i, j], alone)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"rotation": math.pi / 2}, [-2.0, 1.0, 3.0]),
        ({"scale": 1.1}, [1.1, 2.2, 3.3]),
        ({"flip_x": True}, [-1.0, 2.0, 3.0]),
        ({"flip_y": True}, [1.0, -2.0, 3.0]),
        # Rotation comes first, then the flip: (1, 2) -> (-2, 1) -> (2, 1).
        ({"rotation": math.pi / 2, "flip_x": True, "scale": 2.0}, [4.0, 2.0, 6.0]),
    ],
)
def test_bev_transform_of_worked_cases(arguments, expected):
    moved = apply_transform(bev_transform(**arguments), torch.tensor([[1.0, 2.0, 3.0]]))
    torch.testing.assert_close(moved, torch.tensor([expected]), atol=1e-5, rtol=0)

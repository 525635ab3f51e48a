"""The image affine moves points as in worked cases."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.geometry import image_affine


def move(matrix: torch.Tensor, x: float, y: float) -> list[float]:
    return (matrix @ torch.tensor([x, y, 1.0], dtype=torch.float64))[:2].tolist()


def test_the_default_affine_is_the_identity():
    torch.testing.assert_close(image_affine((900, 1600)), torch.eye(3, dtype=torch.float64))


def test_scale_keeps_the_borders_on_the_borders():
    matrix = image_affine((450, 800), scale=0.5)
    assert move(matrix, 0, 0) == [0, 0]
    assert move(matrix, 1600, 900) == [800, 450]


def test_crop_is_top_left_in_the_resized_image():
    # 0.44 x 900 = 396 rows, of which the top 140 are cropped: the usual 256x704 crop.
    matrix = image_affine((256, 704), scale=0.44, crop=(140.0, 0.0))
    assert move(matrix, 1600, 900) == pytest.approx([704, 256])
    matrix = image_affine((256, 704), scale=0.5, crop=(100.0, 30.0))
    assert move(matrix, 200, 300) == pytest.approx([70, 50])


def test_flip_mirrors_the_result_about_its_middle():
    # Pixel centres 0.5 and 703.5 change places.
    matrix = image_affine((256, 704), flip=True)
    assert move(matrix, 0.5, 10) == pytest.approx([703.5, 10])
    assert move(matrix, 352, 10) == pytest.approx([352, 10])


def test_rotation_is_counter_clockwise_as_seen_and_about_the_centre():
    matrix = image_affine((200, 400), rotation=math.pi / 2)
    assert move(matrix, 200, 100) == pytest.approx([200, 100])
    # Right of the centre goes above it; y points down.
    assert move(matrix, 250, 100) == pytest.approx([200, 50])


def test_stretch_scales_rows_before_the_crop():
    matrix = image_affine((200, 400), scale=0.5, crop=(10.0, 20.0), stretch=1.5)
    assert move(matrix, 300, 140) == pytest.approx([130, 95])


def test_the_order_is_scale_crop_flip_rotate():
    matrix = image_affine((200, 400), scale=0.5, crop=(10.0, 20.0), flip=True, rotation=math.pi / 2)
    # (300, 140) -> scaled (150, 70) -> cropped (130, 60) -> mirrored (270, 60); from the centre
    # (200, 100) that is (70, -40), a quarter turn gives (-40, -70).
    assert move(matrix, 300, 140) == pytest.approx([160, 30])


@given(st.floats(0.1, 2), st.floats(-300, 300), st.booleans(), st.floats(-1, 1), st.floats(0.5, 2))
def test_areas_scale_by_the_square_and_the_stretch_and_flip_mirrors(
    scale, crop, flip, rotation, stretch
):
    matrix = image_affine((256, 704), scale, (crop, -crop), flip, rotation, stretch)
    determinant = torch.linalg.det(matrix).item()
    assert determinant == pytest.approx((-1 if flip else 1) * scale**2 * stretch)

"""Projection, its inverse, and the pixels of feature cells."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.geometry import (
    Cameras,
    feature_cells,
    feature_pixels,
    image_affine,
    in_view,
    rigid_transform,
    rotation_z,
)

# Camera axes (x right, y down, z forward) in the ego frame (x forward, y left, z up).
FORWARD = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
INTRINSICS = torch.tensor([[1000.0, 0, 800], [0, 1000, 450], [0, 0, 1]], dtype=torch.float64)


def camera(yaw: float = 0.0, affine: torch.Tensor | None = None) -> Cameras:
    rotation = rotation_z(torch.tensor(yaw, dtype=torch.float64)) @ FORWARD
    offset = torch.tensor([1.7, 0.0, 1.5], dtype=torch.float64)
    affine = torch.eye(3, dtype=torch.float64) if affine is None else affine
    return Cameras(INTRINSICS, rigid_transform(rotation, offset), affine)


def test_projection_of_a_worked_point():
    # 10 m ahead of the camera, 1 m to the left and 0.5 m above it.
    pixels, depth = camera().project(torch.tensor([[11.7, 1.0, 2.0]], dtype=torch.float64))
    assert pixels[0].tolist() == pytest.approx([800 - 100, 450 - 50])
    assert depth.item() == pytest.approx(10)


def test_a_camera_to_the_left_sees_what_is_on_the_left():
    point = torch.tensor([[1.7, 20.0, 1.5]], dtype=torch.float64)
    pixels, depth = camera(yaw=math.pi / 2).project(point)
    assert pixels[0].tolist() == pytest.approx([800, 450])
    assert depth.item() == pytest.approx(20)
    assert camera(yaw=-math.pi / 2).project(point)[1].item() == pytest.approx(-20)


@given(
    st.floats(-3, 3), st.floats(0, 1600), st.floats(0, 900), st.floats(0.5, 100),
    st.floats(0.3, 1), st.floats(0, 200), st.booleans(), st.floats(-0.3, 0.3),
)  # fmt: skip
def test_unproject_inverts_project(yaw, x, y, depth, scale, crop, flip, turn):
    affine = image_affine((256, 704), scale, (crop, crop / 2), flip, turn)
    entry = camera(yaw, affine)
    pixels = torch.tensor([[x, y]], dtype=torch.float64)
    depth = torch.tensor([depth], dtype=torch.float64)
    back, same_depth = entry.project(entry.unproject(pixels, depth))
    torch.testing.assert_close(back, pixels, atol=1e-6, rtol=1e-9)
    torch.testing.assert_close(same_depth, depth)


def test_the_image_affine_moves_the_projected_pixel():
    affine = image_affine((256, 704), 0.5, (100.0, 20.0), flip=True)
    point = torch.tensor([[11.7, 1.0, 2.0]], dtype=torch.float64)
    # (700, 400) is halved to (350, 200), cropped to (330, 100), mirrored to (704 - 330, 100).
    assert camera(affine=affine).project(point)[0][0].tolist() == pytest.approx([374, 100])


def test_a_batch_of_cameras_projects_like_each_alone():
    entries = [camera(0.2), camera(1.4, image_affine((9, 16), 0.01))]
    fields = ("intrinsics", "ego_from_camera", "image_from_original")
    batch = Cameras(*(torch.stack([getattr(e, f) for e in entries])[None] for f in fields))
    points = torch.randn(1, 2, 5, 3, generator=torch.Generator().manual_seed(1)).double() * 20
    pixels, depth = batch.project(points)
    for i, entry in enumerate(entries):
        torch.testing.assert_close(pixels[0, i], entry.project(points[0, i])[0])
        torch.testing.assert_close(depth[0, i], entry.project(points[0, i])[1])


def test_feature_cells_look_at_their_centres():
    pixels = feature_pixels((256, 704), (16, 44), 16)
    assert pixels.shape == (16, 44, 2)
    assert pixels[0, 0].tolist() == [8.0, 8.0]
    assert pixels[15, 43].tolist() == [696.0, 248.0]
    assert pixels[2, 5].tolist() == [88.0, 40.0]


def test_backbones_that_do_not_pad_stay_centred():
    pixels = feature_pixels((256, 704), (14, 42), 16)
    assert pixels[0, 0].tolist() == [352 - 20.5 * 16, 128 - 6.5 * 16]
    torch.testing.assert_close(pixels.mean(dim=(0, 1)), torch.tensor([352.0, 128.0]))


def test_the_published_spread_of_pixels_is_available_as_corners():
    pixels = feature_pixels((256, 704), (16, 44), 16, corners=True)
    assert pixels[0, 0].tolist() == [0.0, 0.0]
    assert pixels[15, 43].tolist() == pytest.approx([703.0, 255.0])


@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(1, 9), st.integers(1, 9),
    st.sampled_from([4, 8, 16, 5.5]),
)  # fmt: skip
def test_feature_cells_inverts_feature_pixels(height, width, rows, columns, stride):
    cells = feature_cells(
        feature_pixels((height, width), (rows, columns), stride), (height, width), (rows, columns),
        stride,
    )  # fmt: skip
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    torch.testing.assert_close(cells, torch.stack([column, row], dim=-1) + 0.5)


def test_worked_pixels_between_and_beyond_feature_cells():
    # Strides of 16 that leave 8 pixels on the left and right and none above and below.
    pixels = torch.tensor([[8.0, 0], [40, 24], [47.9, 33], [0, -16]])
    cells = feature_cells(pixels, (32, 64), (2, 3), 16)
    assert cells.tolist() == [[0, 0], [2, 1.5], [pytest.approx(2.49375), 2.0625], [-0.5, -1]]


def test_in_view_is_in_front_of_the_camera_and_within_the_image():
    inside = [(0.0, 0.0, 0.2), (63.9, 31.9, 5.0)]
    outside = [(-0.1, 5, 5), (64, 5, 5), (5, -0.1, 5), (5, 32, 5), (5, 5, 0.1), (5, 5, -3)]
    points = torch.tensor([*inside, *outside])
    assert in_view(points[:, :2], points[:, 2], (32, 64)).tolist() == [True] * 2 + [False] * 6
    assert in_view(points[:2, :2], points[:2, 2], (32, 64), nearest=0.5).tolist() == [False, True]

"""Lines through a fisheye: their position, clipping and dashes, and pinholes as a limit."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_camera_view import CAMERA, blank, box, inked

from bev.geometry import Boxes3D, KannalaBrandt
from bev.visualization.camera_view import draw_boxes, draw_points
from bev.visualization.sight import sight_of

# 60 pixels per radian: 184 degrees are 193 pixels, with black on all sides.
EQUIDISTANT = KannalaBrandt.make((0.0, 0.0, 0.0, 0.0), math.radians(92))
WIDE = replace(
    CAMERA,
    intrinsics=torch.tensor([[60.0, 0, 160], [0, 60, 90], [0, 0, 1]], dtype=torch.float64),
    lens=EQUIDISTANT,
)
SIZE = (180, 320)


def test_a_line_is_drawn_as_a_curve():
    """A level line 2 m above the axis and 3 m ahead, compared with the projected points."""
    segment = np.array([[[-9.0, -2.0, 3.0], [9.0, -2.0, 3.0]]])
    lines = sight_of(WIDE, SIZE).lines(segment)
    x = np.linspace(-9, 9, 2001)
    theta, turn = np.arctan2(np.hypot(x, 2.0), 3.0), np.arctan2(-2.0, x)
    curve = np.stack([160 + 60 * theta * np.cos(turn), 90 + 60 * theta * np.sin(turn)], axis=-1)
    middle = lines.mean(axis=1)
    far = np.linalg.norm(middle[:, None] - curve, axis=-1).min(axis=1)
    assert len(lines) == 32 and far.max() < 0.3
    ends = np.linalg.norm(lines[[0, -1], [0, 1]] - curve[[0, -1]], axis=-1)
    assert ends.max() < 1e-9
    straight = lines[0, 0] + np.linspace(0, 1, 33)[:, None] * (lines[-1, 1] - lines[0, 0])
    assert np.abs(straight[:-1] - lines[:, 0]).max() > 5


def test_lines_beyond_the_view_are_clipped():
    sight = sight_of(WIDE, SIZE)
    # From ahead to far behind, 2 m to the right: it leaves at 92 degrees, 96 pixels from the axis.
    lines = sight.lines(np.array([[[2.0, 0.0, 5.0], [2.0, 0.0, -1.0]]]))
    reach = np.linalg.norm(lines - (160, 90), axis=-1)
    assert 80 < reach.max() <= 60 * math.radians(92) + 1e-6
    assert len(sight.lines(np.array([[[1.0, 0.0, -5.0], [-1.0, 0.0, -5.0]]]))) == 0
    assert len(sight.face(np.array([[1.0, 0, -5], [-1, 0, -5], [0, 1, -5]]))) == 0
    assert len(sight.dashed(np.array([[[1.0, 0.0, -5.0], [-1.0, 0.0, -5.0]]]), 4, 3)) == 0


def test_dashes_follow_the_curve():
    segment = np.array([[[-9.0, -2.0, 3.0], [9.0, -2.0, 3.0]]])
    sight = sight_of(WIDE, SIZE)
    dashed, lines = sight.dashed(segment, 4.0, 3.0), sight.lines(segment)
    length = np.linalg.norm(lines[:, 1] - lines[:, 0], axis=-1).sum()
    inked_length = np.linalg.norm(dashed[:, 1] - dashed[:, 0], axis=-1)
    assert inked_length.sum() == pytest.approx(4 / 7 * length, rel=0.1)
    assert inked_length.max() <= 4.0 + 1e-9
    assert np.allclose(dashed[0, 0], lines[0, 0]) and np.allclose(dashed[-1, 1], lines[-1, 1])


def test_a_box_beside_the_camera_is_drawn():
    """Its corners and its filled front are drawn, also behind the plane of the camera."""
    image = blank()
    beside = box(-0.2, 4.0, length=2.0)  # ego x is ahead: the box is 90 degrees to the left
    draw_boxes(image, WIDE, beside, thickness=1)
    pixels = inked(image)
    assert len(pixels) > 30 and pixels[:, 0].max() < 160 - 60
    corners = beside.corners()[0].double()
    expected, depth = WIDE.project(corners)
    assert (depth > 0).any()
    for corner in expected[depth > 0].numpy():
        assert np.abs(pixels + 0.5 - corner).max(axis=1).min() < 1.5
    ground_truth = blank()
    draw_boxes(
        ground_truth, WIDE, Boxes3D.cat([beside, box(9.0, 1.0)]), ground_truth=True, labels=True
    )
    assert (ground_truth > 220).all(axis=-1).any()


def test_a_narrow_fisheye_draws_like_a_pinhole():
    """Near the axis the two agree to a fraction of a pixel."""
    narrow = torch.tensor([[2000.0, 0, 160], [0, 2000, 90], [0, 0, 1]], dtype=torch.float64)
    far = box(90.0, 1.0)
    lens = KannalaBrandt.make((1 / 3, 2 / 15, 0.0, 0.0), 1.0)  # the series of the tangent
    straight, curved = blank(), blank()
    draw_boxes(straight, replace(CAMERA, intrinsics=narrow), far)
    draw_boxes(curved, replace(CAMERA, intrinsics=narrow, lens=lens), far)
    drawn = (straight != 128).any(axis=-1)
    assert drawn.sum() > 300
    differs = np.abs(straight.astype(int) - curved).max(axis=-1) > 60
    assert differs.sum() < 0.1 * drawn.sum()


def test_points_beside_the_camera_are_drawn_at_their_pixels():
    image = blank()
    points = torch.tensor([[0.0, 5.0, 1.5], [-5.0, 0.0, 1.5]])  # to the left; behind
    draw_points(image, WIDE, points)
    x = 160 - 60 * math.pi / 2
    assert inked(image).mean(axis=0).tolist() == pytest.approx([x - 0.5, 89.5], abs=0.5)

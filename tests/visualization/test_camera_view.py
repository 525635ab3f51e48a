"""Boxes and points on a camera image: the pixels that are drawn."""

import numpy as np
import pytest
import torch

from bev.data.nuscenes.classes import CLASSES, NUSCENES
from bev.geometry import Boxes3D, Cameras, rigid_transform
from bev.visualization.camera_view import (
    depth_colors,
    draw_boxes,
    draw_points,
    scaled_camera,
    upright_corners,
)
from bev.visualization.colors import THEMES, class_color

FORWARD = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64)
CAMERA = Cameras(
    torch.tensor([[200.0, 0, 160], [0, 200, 90], [0, 0, 1]], dtype=torch.float64),
    rigid_transform(FORWARD, torch.tensor([0.0, 0.0, 1.5], dtype=torch.float64)),
    torch.eye(3, dtype=torch.float64),
)


def color(name: str) -> tuple[int, int, int]:
    return class_color(NUSCENES, CLASSES.index(name))


def blank() -> np.ndarray:
    return np.full((180, 320, 3), 128, np.uint8)


def box(x: float, y: float, *, label: str = "car", length: float = 4.0, score: float = 1.0):
    return Boxes3D.make(
        torch.tensor([[x, y, 1.5]]),
        torch.tensor([[length, 2.0, 2.0]]),
        torch.zeros(1),
        label=torch.tensor([CLASSES.index(label)]),
        score=torch.tensor([score]),
    )


def inked(image: np.ndarray) -> np.ndarray:
    """Rows (x, y) of the pixels that were drawn on."""
    return np.argwhere((image != 128).any(axis=-1))[:, ::-1]


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_labels_stand_on_a_dark_plate_in_every_theme(theme):
    """Colours of classes are light: on a light plate they would be hard to read."""
    image = blank()
    draw_boxes(image, CAMERA, box(10.0, 2.0), labels=True, space=NUSCENES, theme=theme)
    above = image[:60].max(axis=-1)  # the box begins at row 64
    assert (above < 60).sum() > 200 > (above > 200).sum()


def test_pixels_of_a_worked_box():
    image = blank()
    draw_boxes(image, CAMERA, box(10.0, 2.0), space=NUSCENES, thickness=1)
    # The near face is 8 m away, 1 m to 3 m left, 1 m up and down: x 160 - 200 * (3, 1) / 8.
    lines = np.abs(image.astype(int) - color("car")).sum(axis=-1) < 100
    pixels = np.argwhere(lines)[:, ::-1]
    assert pixels.min(axis=0).tolist() == pytest.approx([84.5, 64.5], abs=1)
    assert pixels[:, 1].max() == pytest.approx(114.5, abs=1)
    # On the right the far face ends: 160 - 200 / 12.
    assert pixels[:, 0].max() == pytest.approx(142.8, abs=1)


def test_prediction_has_its_class_colour_and_ground_truth_is_white():
    prediction, ground_truth = blank(), blank()
    draw_boxes(prediction, CAMERA, box(8.0, 0.0, label="bus"), space=NUSCENES, thickness=3)
    draw_boxes(ground_truth, CAMERA, box(8.0, 0.0, label="bus"), ground_truth=True)
    assert (prediction == color("bus")).all(axis=-1).any()
    assert not (ground_truth == color("bus")).all(axis=-1).any()
    assert (ground_truth == 255).all(axis=-1).any()


def test_the_front_face_is_filled_and_the_rear_is_not():
    """Seen from behind, the front face is the far, smaller one."""
    image = blank()
    draw_boxes(image, CAMERA, box(8.0, 0.0, length=6.0), space=NUSCENES, thickness=1)
    # Front: 11 m, half a side 18 pixels; rear: 5 m, half a side 40 pixels.
    assert (image[90, 160] != 128).any()
    assert (image[90 - 30, 160] == 128).all()


def test_a_box_that_reaches_behind_the_camera_is_cut_not_dropped():
    image = blank()
    draw_boxes(image, CAMERA, box(0.0, 2.5, length=20.0), space=NUSCENES, thickness=1)
    pixels = inked(image)
    assert len(pixels) > 100
    # The box is on the left, from 1.5 m away: nothing may be smeared to the right.
    assert pixels[:, 0].max() < 160


def test_boxes_behind_or_beside_leave_the_image_unchanged():
    image = blank()
    draw_boxes(image, CAMERA, Boxes3D.cat([box(-10.0, 0.0), box(10.0, 30.0)]), space=NUSCENES)
    draw_boxes(image, CAMERA, Boxes3D.empty(), space=NUSCENES)
    assert (image == 128).all()


def test_near_boxes_cover_far_ones_whatever_their_order():
    far, near = box(20.0, 4.5), box(6.0, 0.0, label="bus")
    for boxes in ([far, near], [near, far]):
        image = blank()
        draw_boxes(image, CAMERA, Boxes3D.cat(boxes), space=NUSCENES, thickness=3)
        # The far box's upper edge (row 79) crosses the near one's left edge (column 110).
        assert image[79, 110].tolist() == list(color("bus"))


def test_labels_write_the_score():
    plain, labelled = blank(), blank()
    draw_boxes(plain, CAMERA, box(10.0, 0.0, score=0.5), space=NUSCENES)
    draw_boxes(labelled, CAMERA, box(10.0, 0.0, score=0.5), space=NUSCENES, labels=True)
    assert (plain != labelled).any()


def test_only_points_in_front_are_drawn_at_their_pixels():
    image = blank()
    points = torch.tensor([[10.0, 2.0, 1.5], [-10.0, 2.0, 1.5]])
    draw_points(image, CAMERA, points)
    assert inked(image).mean(axis=0).tolist() == pytest.approx([119.5, 89.5], abs=0.5)


def test_near_points_are_warm_and_far_points_are_blue():
    near, far = depth_colors(np.array([2.0, 55.0]), 60.0).astype(int)
    assert near[0] > near[2]
    assert far[2] > far[0]


def test_upright_corners_stay_level_in_the_world():
    pitch = 0.02
    cos, sin = np.cos(pitch), np.sin(pitch)
    turn = torch.tensor([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], dtype=torch.float64)
    pose = rigid_transform(turn, torch.tensor([5.0, 6.0, 0.0], dtype=torch.float64))
    corners = upright_corners(box(10.0, 2.0), pose) @ turn.T
    assert corners[0, [2, 3, 6, 7], 2].std().item() < 1e-9
    assert upright_corners(box(10.0, 2.0))[0, [2, 3, 6, 7], 2].std().item() < 1e-9


def test_a_scaled_camera_scales_its_pixels(real_frames):
    camera = real_frames[0].cameras[0]
    small = scaled_camera(camera, (450, 800))
    full = scaled_camera(camera, camera.size)
    points = real_frames[0].boxes.center.double()
    torch.testing.assert_close(small.project(points)[0] * 2, full.project(points)[0])

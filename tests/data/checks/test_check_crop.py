"""Warnings about cameras whose crop leaves out rows or boxes that the network needs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from opened import opened
from pyquaternion import Quaternion

from bev.config import load_config
from bev.data.augmentation import ImageAugmentation
from bev.data.checks.crop import box_pixels, crop_of, crop_warnings
from bev.data.frame import CameraFrame, Frame
from bev.data.settings import DataConfig
from bev.geometry import Boxes3D, KannalaBrandt, Pinhole

BOTTOM = ImageAugmentation(horizon=0.0)
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # ego from camera
FISHEYE = KannalaBrandt.make((0.0, 0.0, 0.0, 0.0))


def camera(name="CAM", size=(240, 320), focal=180.0, pitch=0.0, lens=None) -> CameraFrame:
    """Camera 1.5 m above the ground that looks ahead, pitched upwards by degrees."""
    pose = np.eye(4)
    pose[:3, :3] = Quaternion(axis=(0, 1, 0), degrees=-pitch).rotation_matrix @ FORWARD
    pose[2, 3] = 1.5
    matrix = torch.tensor([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]])
    pose = torch.from_numpy(pose)
    return CameraFrame(name, Path("a.jpg"), size, matrix.double(), pose, lens or Pinhole())


def cars(*metres: float) -> Boxes3D:
    centers = torch.tensor([[place, 0.0, 0.8] for place in metres]).reshape(-1, 3)
    return Boxes3D.make(
        centers, torch.tensor([4.5, 1.9, 1.6]).expand(len(metres), 3), torch.zeros(len(metres))
    )


def warnings_of(*cameras: CameraFrame, boxes=None, **settings) -> list[str]:
    data = DataConfig(**{"image_size": (96, 176), **settings})
    return crop_warnings([Frame("t", cameras, cars(10.0) if boxes is None else boxes)], data)


def test_real_samples_have_no_warning(nuscenes_root):
    for name in ("lss_r50", "lss_seg_effb0"):
        data = replace(load_config(name).data, root=nuscenes_root, version="v1.0-mini")
        for split in ("mini_train", "mini_val"):
            assert crop_warnings(opened(data).frames(split), data) == []


def test_a_crop_that_suits_the_images_has_no_warning():
    pitched = [camera(size=(960, 1280), focal=914.0, pitch=pitch) for pitch in (-8, 0, 4)]
    fisheye = camera(size=(960, 1280), focal=380.0, pitch=-30, lens=FISHEYE)
    for one in (camera(), *pitched):
        assert warnings_of(one) == warnings_of(one, image_size=(256, 704)) == []
    assert warnings_of(fisheye, boxes=cars(30.0)) == []


def test_each_camera_whose_horizon_is_cropped_is_named():
    """Windows of 40 rows on the last row of 4:3 images, whose horizon is in the middle."""
    rig = camera("CAM_A"), camera("CAM_B", (480, 640), 360.0), camera("CAM_C", (900, 3960), 2000.0)
    found = warnings_of(*rig, image_size=(40, 176), image_augmentation=BOTTOM)
    assert [line.split(" (")[0] for line in found] == [
        "The crop of camera CAM_A",
        "The crop of camera CAM_B",
    ]
    assert "(320x240 to 176x40) leaves out the horizon (row 120) and the row of" in found[0]
    assert "row of the principal point (120)" in found[0] and "of the boxes' pixels" in found[0]
    assert ".horizon" in found[0] and "\n" not in found[0]
    raised = warnings_of(*rig, image_size=(40, 176))
    assert not any("horizon (row" in line for line in raised)


def test_boxes_outside_the_crop_are_reported_although_the_horizon_is_inside():
    """A car at 7 m, most of it below a window of 11 rows; cars far away are within."""
    (sentence,) = warnings_of(camera(), boxes=cars(7.0), image_size=(11, 176))
    assert "leaves out" in sentence and "% of the boxes' pixels;" in sentence
    assert "horizon (" not in sentence
    assert warnings_of(camera(), boxes=cars(60.0), image_size=(11, 176)) == []
    assert warnings_of(camera(), boxes=cars(), image_size=(11, 176)) == []  # no ground truth


def test_the_principal_row_counts_for_pinholes_alone():
    """45 degrees down, in tall images: the horizon is visible 600 rows above the principal row."""
    tall = {"size": (1920, 480), "focal": 600.0}
    assert warnings_of(camera(**tall)) == []  # 262 rows of 1920, with the horizon among them
    (sentence,) = warnings_of(camera(**tall, pitch=-45.0), boxes=cars())
    assert "leaves out the row of the principal point (960);" in sentence
    assert warnings_of(camera(**tall, pitch=-45.0, lens=FISHEYE), boxes=cars()) == []


def test_box_pixels_of_a_box_that_the_window_halves():
    one = camera()
    # A thin upright square of 2 m at the axis, 10 m ahead.
    size = torch.tensor([[1e-4, 2.0, 2.0]])
    square = Boxes3D.make(torch.tensor([[10.0, 0.0, 1.5]]), size, torch.zeros(1))
    identity, side = torch.eye(3, dtype=torch.float64), 180.0 * 2 / 10
    whole, inside = box_pixels(square, one, identity, one.size)
    assert whole == inside == pytest.approx(side**2, rel=1e-3)
    _, inside = box_pixels(square, one, identity, (120, 320))
    assert inside == pytest.approx(side**2 / 2, rel=1e-3)
    behind = Boxes3D.make(torch.tensor([[-9.0, 0.0, 1.5]]), size, torch.zeros(1))
    assert box_pixels(behind, one, identity, one.size) == (0.0, 0.0)
    crop = crop_of(one, ImageAugmentation().still(), (96, 176))
    assert np.allclose(crop, [[0.55, 0, 0], [0, 0.55, 96 - 132], [0, 0, 1]])

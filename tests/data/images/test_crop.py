"""The crop keeps the horizon of any camera, and leaves nuScenes' images as they are."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from pyquaternion import Quaternion

from bev.data import augmentation
from bev.data.augmentation import BevAugmentation, ImageAugmentation, draw
from bev.data.frame import CameraFrame
from bev.data.images.crop import HORIZON, horizon_row, window_row
from bev.geometry import Cameras, KannalaBrandt, Pinhole, image_affine
from bev.serialization import from_plain, to_plain

SIZE = (256, 704)
FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # ego from camera
FISHEYE = KannalaBrandt.make((-0.02, 0.003, -0.001, 0.0), 1.66)
# Crops of the shipped recipes, and degrees of pitch that change none of them. The synthetic worlds,
# of the last two, have exactly these cameras.
RECIPES = [
    (SIZE, ImageAugmentation(flip="mirror"), 1.5),
    ((128, 352), ImageAugmentation.off(), 1.5),
    ((128, 352), ImageAugmentation(scale=(-0.054, 0.01), crop_top=(0.0, 0.32)), 1.5),
    ((128, 352), ImageAugmentation(stretch=1.5, crop_top=(0.33, 0.33)), 0.3),
    ((160, 416), ImageAugmentation(stretch=1.615, crop_top=(0.35, 0.35)), 0.3),
]


def camera(size=(900, 1600), focal=800.0, pitch=0.0, yaw=0.0, roll=0.0, lens=None):
    """Camera 1.5 m above the ground; angles in degrees, pitch upwards, yaw to the left."""
    turn = Quaternion(axis=(0, 0, 1), degrees=yaw) * Quaternion(axis=(0, 1, 0), degrees=-pitch)
    pose = np.eye(4)
    pose[:3, :3] = turn.rotation_matrix @ FORWARD
    pose[:3, :3] @= Quaternion(axis=(0, 0, 1), degrees=roll).rotation_matrix
    pose[:3, 3] = 1.0, 0.3, 1.5
    matrix = [[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]]
    intrinsics = torch.tensor(matrix, dtype=torch.float64)
    return CameraFrame(
        "CAM", Path("a.jpg"), size, intrinsics, torch.from_numpy(pose), lens or Pinhole()
    )


def drawn(image, camera, size=SIZE, seed=0, known=True):
    """The matrix of an image, whose horizon is known or not."""
    rng = np.random.default_rng(seed)
    horizons = [image.horizon_of(camera)] if known else []
    found = draw(image, BevAugmentation.off(), [camera.size], size, rng, horizons)
    return found.image_from_original[0]


def row_in(matrix, row):
    return float(matrix[1, 1]) * row + float(matrix[1, 2])


def bottom_crop(image, original, size, seed):
    """The random matrix of the published recipe, without flip and rotation."""
    rng = np.random.default_rng(seed)
    scale = (size[1] / original[1]) * (1 + rng.uniform(*image.scale) / 0.44)
    spare = scale * original[1] - size[1]
    left = spare * (rng.random() if image.random_left and spare > 0 else 0.5)
    top = scale * image.stretch * original[0] - size[0] * (1 + rng.uniform(*image.crop_top))
    return image_affine(size, scale, (top, left), False, 0.0, image.stretch)


@pytest.fixture(scope="module")
def nuscenes_cameras(nuscenes_root, real_frames) -> list[CameraFrame]:
    """All calibrations of the tables, and the cameras of real frames with their ego motion."""
    found = [camera for frame in real_frames for camera in frame.cameras]
    for row in json.loads((nuscenes_root / "v1.0-mini" / "calibrated_sensor.json").read_text()):
        if row["camera_intrinsic"]:
            pose = np.eye(4)
            pose[:3, :3] = Quaternion(row["rotation"]).rotation_matrix
            matrix = torch.tensor(row["camera_intrinsic"], dtype=torch.float64)
            path = Path(row["token"])
            found.append(CameraFrame("", path, (900, 1600), matrix, torch.from_numpy(pose)))
    return found


@pytest.mark.parametrize(("size", "image", "degrees"), RECIPES)
def test_nuscenes_crops_are_unchanged_to_the_bit(nuscenes_cameras, size, image, degrees):
    """In evaluation and in every random draw."""
    assert len(nuscenes_cameras) >= 30
    plain = replace(image, flip="off", rotation=0.0)
    usual = size[0] / (size[1] / 1600 * image.stretch)
    for number, one in enumerate(nuscenes_cameras):
        for tilt in (-degrees, degrees):
            turn = Quaternion(axis=(1, 0, 0), degrees=tilt).rotation_matrix
            pose = one.ego_from_camera.clone()
            pose[:3, :3] = pose[:3, :3] @ torch.from_numpy(turn)
            horizon = image.horizon_of(replace(one, ego_from_camera=pose))
            assert window_row(900, horizon, image.horizon, image.raised, usual, usual) == 900
        for chosen in (plain, plain.still(), plain.still(0.04)):
            for seed in range(2 * number, 2 * number + (2 if chosen is plain else 1)):
                expected = bottom_crop(chosen, one.size, size, seed)
                assert torch.equal(drawn(chosen, one, size, seed), expected)
        before = drawn(image, one, size, number, known=False)  # with flips and rotations
        assert torch.equal(drawn(image, one, size, number), before)


@pytest.mark.parametrize("lens", [Pinhole(), FISHEYE], ids=["pinhole", "fisheye"])
@given(
    pitch=st.floats(-50, 50), yaw=st.floats(-180, 180), roll=st.floats(-20, 20),
    focal=st.floats(200, 2000),
)  # fmt: skip
def test_the_horizon_is_where_far_points_at_the_cameras_height_are(lens, pitch, yaw, roll, focal):
    one = camera((960, 1280), focal, pitch, yaw, roll, lens)
    far = 1e7
    ahead = [far * math.cos(math.radians(yaw)), far * math.sin(math.radians(yaw)), 1.5]
    identity = torch.eye(3, dtype=torch.float64)
    entry = Cameras(one.intrinsics, one.ego_from_camera, identity, one.lens)
    pixels, depth = entry.project(torch.tensor([ahead], dtype=torch.float64))
    assert depth > 0
    assert horizon_row(one) == pytest.approx(pixels[0, 1].item(), abs=0.01)


def test_a_camera_that_looks_straight_down_has_no_horizon_and_keeps_the_bottom():
    for pitch in (-90.0, 90.0):
        one = camera((960, 1280), pitch=pitch)
        assert math.isnan(horizon_row(one))
        still = ImageAugmentation().still()
        assert torch.equal(drawn(still, one), drawn(still, one, known=False))
    beyond = camera((960, 1280), pitch=-70, lens=KannalaBrandt.make((0.0, 0.0, 0.0, 0.0), 1.0))
    assert math.isnan(horizon_row(beyond))  # outside the lens's field of view


@given(
    rows=st.integers(200, 4000), columns=st.integers(400, 4000), view=st.floats(30, 120),
    pitch=st.floats(-25, 25), height=st.integers(64, 900), width=st.integers(128, 1600),
    stretch=st.floats(0.7, 2.0), crop_top=st.floats(0, 0.4), fisheye=st.booleans(),
)  # fmt: skip
@example(
    rows=960, columns=1280, view=70, pitch=0, height=256, width=704, stretch=1.0, crop_top=0.0,
    fisheye=False,
)  # fmt: skip
def test_the_window_has_the_horizon_if_the_image_has_it(
    rows, columns, view, pitch, height, width, stretch, crop_top, fisheye
):
    focal = columns / 2 / math.tan(math.radians(view) / 2)
    one = camera((rows, columns), focal, pitch, lens=FISHEYE if fisheye else None)
    image = ImageAugmentation(stretch=stretch, crop_top=(crop_top, crop_top)).still()
    matrix, bottom = (drawn(image, one, (height, width), known=known) for known in (True, False))
    horizon, before = (row_in(m, horizon_row(one)) for m in (matrix, bottom))
    raised = horizon - before
    assert raised >= -1e-6  # no window is moved down
    if before >= 0.6 * HORIZON * height:
        assert raised == 0
    elif raised > 0:
        # The horizon is where it should be, or the window begins with the image's first row.
        first = row_in(matrix, 0.0)
        assert first <= 1e-6
        reached = math.isclose(horizon, HORIZON * height, abs_tol=1e-6)
        assert reached or math.isclose(first, 0, abs_tol=1e-6) or raised < 1e-6
    assert torch.equal(matrix[0], bottom[0])


def test_random_windows_of_a_raised_camera_keep_the_horizon_at_every_scale():
    one = camera((960, 1280), 914.0)
    image = ImageAugmentation(flip="off", rotation=0.0)
    matrices = [drawn(image, one, seed=seed) for seed in range(200)]
    shares = [row_in(matrix, 480) / SIZE[0] for matrix in matrices]
    assert min(shares) == pytest.approx(HORIZON) and max(shares) == pytest.approx(HORIZON)
    scales = [float(matrix[0, 0]) for matrix in matrices]
    assert max(scales) > 1.2 * min(scales)
    jittered = replace(image, crop_top=(0.0, 0.1))
    shares = [row_in(drawn(jittered, one, seed=seed), 480) / SIZE[0] for seed in range(200)]
    assert min(shares) == pytest.approx(HORIZON - 0.05, abs=0.01)
    assert max(shares) == pytest.approx(HORIZON + 0.05, abs=0.01)


def test_windows_stand_on_the_last_row_unless_the_horizon_is_high():
    for horizon in (math.nan, 600.0):
        assert window_row(960, horizon, 0.25, 0.0, 600.0, 500.0) == 960
    assert window_row(960, 480.0, 0.25, 0.0, 400.0, 400.0) == 480 + 300
    assert window_row(960, -900.0, 0.25, 0.0, 400.0, 400.0) == 400  # the first rows of the image


def test_the_horizon_is_computed_only_where_it_counts(monkeypatch):
    monkeypatch.setattr(augmentation, "horizon_row", lambda _: 100.0)
    assert ImageAugmentation().horizon_of(camera()) == 100
    assert math.isnan(ImageAugmentation(horizon=0.0).horizon_of(camera()))


def test_saved_settings_of_earlier_versions_keep_the_bottom():
    saved = to_plain(ImageAugmentation())
    assert from_plain(ImageAugmentation, saved) == ImageAugmentation()
    del saved["horizon"]
    before = from_plain(ImageAugmentation, saved)
    assert before == ImageAugmentation(horizon=0.0)
    one = camera((960, 1280), 914.0)
    assert torch.equal(drawn(before.still(), one), drawn(before.still(), one, known=False))

"""Pixels and calibration agree: marks in warped images lie where the image matrix puts them."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bev.data.augmentation import BevAugmentation, ImageAugmentation, draw
from bev.data.frame import CameraFrame
from bev.data.images.loading import load_image, warp
from bev.errors import ConfigError, DataError

SIZE = (256, 704)


def mark(points, size, spread=3.0):
    """A black image with a soft white dot at each (x, y), in continuous coordinates."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    image = np.zeros(size)
    for px, py in points:
        image = np.maximum(image, np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * spread**2)))
    return np.repeat((255 * image).astype(np.uint8)[..., None], 3, axis=2)


def find(image, near, reach=9):
    """Centre of mass (x, y) of the light around a point, in continuous coordinates."""
    x0, y0 = (int(v) for v in near)
    window = image[y0 - reach : y0 + reach + 1, x0 - reach : x0 + reach + 1].astype(float)
    y, x = np.mgrid[y0 - reach : y0 + reach + 1, x0 - reach : x0 + reach + 1] + 0.5
    return np.array([(window * x).sum(), (window * y).sum()]) / window.sum()


def as_bgr(image):
    """A (3, H, W) RGB image in OpenCV's layout."""
    return image.permute(1, 2, 0).flip(-1).numpy()


def camera_of(path, size):
    return CameraFrame("CAM_FRONT", path, size, torch.eye(3).double(), torch.eye(4).double())


@given(seed=st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_marks_lie_where_the_matrix_puts_them(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    original = (450, 800) if seed % 2 else (900, 1600)
    config = ImageAugmentation(stretch=1.0 if seed % 3 else 1.2, crop_top=(0.0, 0.2))
    matrix = draw(config, BevAugmentation.off(), [original], SIZE, rng).image_from_original[0]
    # Marks well inside the output, mapped back to the original image by the inverse matrix.
    inside = np.stack([rng.uniform(60, 640, 6), rng.uniform(30, 220, 6)], axis=1)
    inside = inside[
        [all(np.hypot(*(p - q)) > 40 for q in inside[:i]) for i, p in enumerate(inside)]
    ]
    back = np.linalg.inv(matrix.numpy())
    sources = [(back @ [x, y, 1])[:2] for x, y in inside]
    margin = [20 < x < original[1] - 20 and 20 < y < original[0] - 20 for x, y in sources]
    path = tmp_path_factory.mktemp("marks") / "image.jpg"
    cv2.imwrite(str(path), mark(sources, original), [cv2.IMWRITE_JPEG_QUALITY, 100])
    image = load_image(camera_of(path, original), matrix, SIZE)[0].numpy()
    for target, whole in zip(inside, margin, strict=True):
        if whole:
            assert np.abs(find(image, target) - target).max() < 0.1


def test_stretched_images_keep_the_width_and_show_fewer_rows():
    image = ImageAugmentation(stretch=1.5, crop_top=(0.5, 0.5)).still()
    rng = np.random.default_rng(0)
    drawn = draw(image, BevAugmentation.off(), [(900, 1600)], SIZE, rng)
    # 900 * 0.44 * 1.5 = 594 rows; the 256 rows of the window end 128 above the lowest.
    expected = [[0.44, 0, 0], [0, 0.66, -(594 - 128 - 256)], [0, 0, 1]]
    torch.testing.assert_close(drawn.image_from_original[0], torch.tensor(expected).double())


@pytest.mark.parametrize("stretch", [0.0, -1.0, float("inf"), float("nan")])
def test_an_invalid_stretch_is_refused(stretch):
    with pytest.raises(ConfigError, match="stretch is .*above 0"):
        ImageAugmentation(stretch=stretch)


def test_a_warp_by_the_identity_changes_nothing():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    assert (as_bgr(warp(image, torch.eye(3).double(), (20, 30))) == image).all()


def test_a_shift_by_whole_pixels_is_exact():
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    matrix = torch.tensor([[1.0, 0, -4], [0, 1, -3], [0, 0, 1]]).double()
    assert (as_bgr(warp(image, matrix, (10, 12))) == image[3:13, 4:16]).all()


@pytest.mark.parametrize(
    ("image", "raised"),
    [
        (ImageAugmentation.off(), 0.0),
        (ImageAugmentation(crop_top=(0.1, 0.3)).still(), 51.2),  # 0.2 of 256 rows
    ],
    ids=["off", "still"],
)
def test_evaluation_scales_to_the_width_and_keeps_the_bottom_or_the_middle_crop(image, raised):
    rng = np.random.default_rng(0)
    off = draw(image, BevAugmentation.off(), [(900, 1600)], SIZE, rng)
    matrix = off.image_from_original[0]
    # 704 / 1600 = 0.44; 900 * 0.44 = 396, of which the lowest 256 rows are kept.
    for original, (x, y) in {
        (0, 900): (0, 256),
        (1600, 900): (704, 256),
        (800, 450): (352, 58),
    }.items():
        found = matrix @ torch.tensor([*original, 1.0]).double()
        torch.testing.assert_close(found[:2], torch.tensor([x, y + raised]).double())
    assert torch.equal(off.bev_from_ego, torch.eye(4))


def test_mirroring_flips_all_images_and_the_bev_together():
    config = ImageAugmentation(scale=(0, 0), random_left=False, flip="mirror", rotation=0)
    seen = set()
    for seed in range(12):
        rng = np.random.default_rng(seed)
        drawn = draw(config, BevAugmentation.off(), [(900, 1600)] * 3, SIZE, rng)
        images = {m[:2, :2].det().item() < 0 for m in drawn.image_from_original}
        bev = torch.linalg.det(drawn.bev_from_ego).item() < 0
        assert images == {bev}
        assert drawn.bev_from_ego[0, 0] == 1  # left and right change places, not front and back
        seen.add(bev)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("missing", "cannot be read"),
        ("truncated", "truncated"),
        ("empty", "truncated"),
        ("text", "not an image"),
        ("size", "its calibration is for"),
    ],
)
def test_damaged_images_are_named(tmp_path: Path, damage, message):
    path = tmp_path / "image.jpg"
    cv2.imwrite(str(path), mark([(40, 40)], (90, 160)))
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("not an image")
    size = (900, 1600) if damage == "size" else (90, 160)
    with pytest.raises(DataError, match=message) as error:
        load_image(camera_of(path, size), torch.eye(3).double(), (90, 160))
    assert str(path) in str(error.value)
    shutil.rmtree(tmp_path)

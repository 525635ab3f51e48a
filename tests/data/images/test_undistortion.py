"""Distortion is removed when an image is loaded, as OpenCV removes it."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bev.data.frame import CameraFrame
from bev.data.images.cache import ImageCache
from bev.data.images.loading import load_image
from bev.data.images.undistortion import file_positions
from bev.data.rig import Distortion, PinholeView, RigCamera
from bev.errors import DataError
from bev.visualization.canvas import load_camera

HEIGHT, WIDTH = 240, 320
EYE = torch.eye(4, dtype=torch.float64)
MATRIX = torch.tensor([[210.0, 0, 165.5], [0, 205, 118.5], [0, 0, 1]], dtype=torch.float64)
MODELS = {
    "plumb_bob": Distortion("plumb_bob", (-0.28, 0.07, 0.001, -0.0005, 0.01)),
    "rational": Distortion(
        "rational_polynomial", (0.5, -0.1, 0.0002, 0.0001, -0.01, 0.86, 0.05, -0.02)
    ),
    "fisheye": Distortion("fisheye", (0.05, -0.02, 0.004, -0.001)),
}


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Path:
    """A smooth picture, so that interpolation differs little between two ways of sampling."""
    noise = np.random.default_rng(1).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    path = tmp_path_factory.mktemp("image") / "image.png"
    cv2.imwrite(str(path), picture)
    return path


def of(image: Path, distortion: Distortion, **given) -> CameraFrame:
    return RigCamera("front", MATRIX, EYE, (HEIGHT, WIDTH), distortion, **given).frame(image)


def in_opencv(matrix: torch.Tensor) -> np.ndarray:
    """Intrinsics for pixel centres at integers."""
    moved = matrix.numpy().copy()
    moved[:2, 2] -= 0.5
    return moved


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("stated", [False, True])
def test_the_image_is_that_of_opencv(name, stated, image):
    """``cv2.undistort`` keeps the intrinsics unless it is given others."""
    distortion, view = MODELS[name], None
    shown = torch.tensor([[150.0, 0, 140], [0, 160, 130], [0, 0, 1]], dtype=torch.float64)
    if stated:
        view = PinholeView(shown, (HEIGHT, WIDTH))
    camera = of(image, distortion, pinhole=view)
    found = load_camera(camera).astype(int)
    target = in_opencv(shown if stated else MATRIX)
    stored = cv2.cvtColor(cv2.imread(str(image)), cv2.COLOR_BGR2RGB)
    numbers, matrix = np.array(distortion.coefficients), in_opencv(MATRIX)
    if name == "fisheye":
        expected = cv2.fisheye.undistortImage(stored, matrix, numbers, Knew=target)
    else:
        expected = cv2.undistort(stored, matrix, numbers, newCameraMatrix=target)
    off = np.abs(found - expected.astype(int))[4:-4, 4:-4].max(axis=-1)
    # Beyond the range of the polynomial OpenCV shows the image again, and here it is black.
    off = off[found[4:-4, 4:-4].any(axis=-1)]
    assert len(off) > 0.7 * HEIGHT * WIDTH
    assert np.quantile(off, 0.99) <= 3 and off.mean() < 0.6  # their maps are rounded
    assert camera.size == (HEIGHT, WIDTH) and camera.lens.straight


@pytest.mark.parametrize("name", MODELS)
def test_positions_are_those_of_opencvs_maps(name):
    camera = of(Path("none.png"), MODELS[name])
    crop = torch.tensor([[0.5, 0, -10], [0, 0.5, -20], [0, 0, 1]], dtype=torch.float64)
    size = (90, 140)
    found = file_positions(camera, crop, size)
    target = in_opencv(crop @ MATRIX)
    numbers, matrix = np.array(MODELS[name].coefficients), in_opencv(MATRIX)
    module = cv2.fisheye if name == "fisheye" else cv2
    maps = module.initUndistortRectifyMap(
        matrix, numbers, np.eye(3), target, size[::-1], cv2.CV_32FC1
    )
    np.testing.assert_allclose(found - 0.5, np.stack(maps[:2], axis=-1), atol=2e-3)


def test_a_pixel_on_the_axis_and_one_beside_it_by_hand(tmp_path):
    """f = 10, k1 = -0.1: the ray through (15, 5) has x = 1 and is stored at 5 + 10 * 0.9 = 14."""
    picture = np.zeros((10, 20, 3), np.uint8)
    picture[4:6, 4:6] = 100  # around (5, 5), where the axis is
    picture[4:6, 13:15] = 200  # around (14, 5)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    matrix = torch.tensor([[10.0, 0, 5], [0, 10, 5], [0, 0, 1]], dtype=torch.float64)
    distortion = Distortion("plumb_bob", (-0.1, 0, 0, 0))
    camera = RigCamera("a", matrix, EYE, (10, 20), distortion).frame(tmp_path / "a.png")
    shift = torch.tensor([[1.0, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], dtype=torch.float64)
    found = load_image(camera, shift, (10, 20))  # pixel 15 then shows (15, 5)
    assert found[:, 5, 5].tolist() == [100] * 3
    assert found[:, 5, 15].tolist() == [200] * 3


def test_without_coefficients_nothing_changes(image):
    plain = load_camera(CameraFrame("front", image, (HEIGHT, WIDTH), MATRIX, EYE))
    still = load_camera(of(image, Distortion("plumb_bob", (0, 0, 0, 0))))
    assert (plain == still).all()


def test_what_the_file_does_not_show_is_black(image):
    """A pinhole with half the focal length shows twice as much as the file does."""
    wide = MATRIX.clone()
    wide[[0, 1], [0, 1]] /= 2
    shown = load_camera(of(image, MODELS["plumb_bob"], pinhole=PinholeView(wide)))
    assert (shown[:40] == 0).all() and (shown[:, :50] == 0).all()
    assert (shown[90:150, 120:200] > 0).any(axis=-1).mean() > 0.9


def test_a_fisheye_may_be_kept_as_the_lens_of_the_network(image):
    kept = of(image, MODELS["fisheye"], keep_lens=True)
    assert kept.stored is None and not kept.lens.straight
    plain = CameraFrame("front", image, (HEIGHT, WIDTH), MATRIX, EYE)
    assert (load_camera(kept) == load_camera(plain)).all()


def test_the_reduced_decode_and_the_cache_serve_distorted_files(image, tmp_path):
    """At a quarter of the size the file is decoded at a quarter, from the cache the second time."""
    camera = of(image, MODELS["plumb_bob"])
    quarter = torch.diag(torch.tensor([0.25, 0.25, 1.0], dtype=torch.float64))
    small = load_image(camera, quarter, (HEIGHT // 4, WIDTH // 4))
    whole = torch.from_numpy(load_camera(camera)).permute(2, 0, 1)
    averaged = torch.nn.functional.avg_pool2d(whole.float(), 4)
    off = (small.float() - averaged)[:, 2:-2, 2:-2].abs()
    assert off.mean() < 8 and off.max() < 60  # sampled between averages of blocks, thus blurred
    cache = ImageCache(tmp_path, 2**24, image.parent)
    for _ in range(2):
        assert (load_image(camera, quarter, (60, 80), cache.decode) == small).all()
    assert len([path for path in tmp_path.glob("??/*")]) == 1


def test_a_file_of_another_size_than_its_calibration_is_refused(image):
    camera = of(image, MODELS["plumb_bob"])
    other = replace(camera, stored=replace(camera.stored, size=(480, 640)))
    with pytest.raises(DataError, match="front: .* is 320x240, but .* is for 640x480"):
        load_camera(other)

"""Reduced decoding and bilinear warping, compared with full decoding and antialiased resizing."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from registration import antialiased, psnr, sampled, scenery, shift
from torchvision.transforms.v2 import functional as tv

from bev.data.frame import CameraFrame
from bev.data.images.loading import decode, load_image, reduction_for, warp
from bev.geometry import image_affine

FULL = (720, 1280)
SIZE = (176, 320)


@pytest.fixture(scope="module")
def jpeg(tmp_path_factory):
    """A JPEG file as cameras write it, with chroma at half the resolution."""
    path = tmp_path_factory.mktemp("made") / "scenery.jpg"
    cv2.imwrite(str(path), scenery(FULL), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return path


@pytest.fixture(scope="module")
def real(nuscenes_root):
    """One image file of each camera."""
    return [next(folder.glob("*.jpg")) for folder in (nuscenes_root / "samples").glob("CAM_*")]


def as_array(image):
    return image.permute(1, 2, 0).numpy()


def loaded(path, matrix, size):
    height, width = cv2.imread(str(path)).shape[:2]
    eye = torch.eye(4).double()
    return as_array(
        load_image(CameraFrame("", path, (height, width), eye[:3, :3], eye), matrix, size)
    )


def whole(path):
    return np.asarray(Image.open(path))


def placed(original, scale, flip=False, degrees=0.0):
    """Image matrix of a window of ``SIZE`` inside the scaled image."""
    corner = [0.4 * (scale * o - s) for o, s in zip(original, SIZE, strict=True)]
    return image_affine(SIZE, scale, tuple(corner), flip, math.radians(degrees))


def test_the_reference_is_torchvisions_antialiased_resize():
    image = scenery(FULL)
    expected = tv.resize(torch.from_numpy(image).permute(2, 0, 1), [288, 512], antialias=True)
    found = antialiased(image, image_affine((288, 512), 0.4), (288, 512))
    assert psnr(found[8:-8, 8:-8], as_array(expected)[8:-8, 8:-8]) > 50


@pytest.mark.parametrize("moved", [(0.0, 0.0), (0.1, -0.05), (-0.5, 0.5)])
def test_the_measure_finds_a_known_shift(moved):
    image = scenery(FULL)
    still, other = (
        antialiased(image, image_affine(SIZE, 0.44, corner), SIZE)
        for corner in ((50.0, 70.0), (50.0 - moved[1], 70.0 - moved[0]))
    )
    assert np.abs(shift(other, still) - moved).max() < 0.01


@given(scale=st.floats(0.3, 1.1), flip=st.booleans(), degrees=st.floats(-25, 25))
@example(scale=0.44, flip=False, degrees=0.0)
@example(scale=0.4999, flip=False, degrees=0.0)
@example(scale=0.5001, flip=True, degrees=0.0)
@example(scale=0.75, flip=False, degrees=0.0)
@example(scale=0.6437570221984557, flip=True, degrees=0.0)
@settings(max_examples=25)
def test_loaded_images_are_not_shifted(jpeg, scale, flip, degrees):
    """The synthetic scenery has detail as fine as its pixels, which aliases: even bilinear sampling
    in float64 is up to 0.03 pixels off the antialiased image at scales near 0.6.
    """
    matrix = placed(FULL, scale, flip, degrees)
    found, expected = (
        loaded(jpeg, matrix, SIZE),
        antialiased(whole(jpeg), matrix, SIZE),
    )
    assert np.abs(shift(found, expected)).max() < 0.05
    r = reduction_for(matrix, FULL)
    reduced = matrix @ torch.diag(torch.tensor([r, r, 1.0])).to(matrix)
    exact = sampled(decode(jpeg, r)[..., ::-1], reduced, SIZE)
    assert np.abs(shift(found, exact)).max() < 1 / 64  # OpenCV rounds coordinates to 1/32 pixel


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.31, 0.386, 0.44, 0.49, 0.51, 0.55, 0.75, 1.1])
@pytest.mark.parametrize(("flip", "degrees"), [(False, 0.0), (True, 5.4)])
def test_real_images_are_not_shifted(real, scale, flip, degrees):
    for path in real:
        matrix = placed((900, 1600), scale, flip, degrees)
        found, expected = loaded(path, matrix, SIZE), antialiased(whole(path), matrix, SIZE)
        assert np.abs(shift(found, expected)).max() < 0.02
        assert psnr(found, expected) > 39


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_reduced_pixel_is_the_mean_of_its_block(jpeg, reduction):
    r = reduction
    mean = decode(jpeg).reshape(FULL[0] // r, r, FULL[1] // r, r, 3).mean(axis=(1, 3))
    reduced = decode(jpeg, r)
    assert psnr(reduced, mean) > 38
    assert np.abs(shift(reduced, mean, blur=1.0)).max() < 0.005
    # Taking one pixel of each block, as nearest-neighbour does, shifts the image by half a block.
    beside = shift(decode(jpeg)[::r, ::r], mean, blur=1.0)
    assert np.abs(beside - (r - 1) / (2 * r)).max() < 0.15


def test_a_reduced_decode_of_a_real_image_is_the_mean(real):
    for path in real:
        mean = decode(path).reshape(450, 2, 800, 2, 3).mean(axis=(1, 3))
        assert psnr(decode(path, 2), mean) > 38


def test_a_reduced_decode_aliases_less_than_a_full_one(real):
    """The scale is the published one of evaluation, 704 / 1600; twice the error is 6 dB."""
    gains = []
    for path in real:
        matrix = placed((900, 1600), 0.44)
        expected = antialiased(whole(path), matrix, SIZE)
        plain = psnr(as_array(warp(decode(path), matrix, SIZE)), expected)
        gains.append(psnr(loaded(path, matrix, SIZE), expected) - plain)
    assert min(gains) > 3


@given(
    scale=st.floats(0.01, 3),
    stretch=st.floats(0.3, 3),
    height=st.integers(8, 2000),
    width=st.integers(8, 2000),
)
def test_the_reduction_keeps_the_resolution_and_divides_the_size(scale, stretch, height, width):
    matrix = image_affine(SIZE, scale, flip=True, rotation=0.3, stretch=stretch)
    reduction = reduction_for(matrix, (height, width))
    assert height % reduction == width % reduction == 0
    finest = scale * max(stretch, 1)
    assert reduction == 1 or reduction * finest <= 1 + 1e-9
    doubled = 2 * reduction
    fits = height % doubled == width % doubled == 0 and doubled * finest < 1 - 1e-9
    assert doubled > 8 or not fits


def test_rows_are_not_reduced_where_only_columns_shrink_by_half():
    assert reduction_for(image_affine(SIZE, 0.45), (900, 1600)) == 2
    assert reduction_for(image_affine(SIZE, 0.45, stretch=1.2), (900, 1600)) == 1

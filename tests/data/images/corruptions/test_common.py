"""Corruptions of ImageNet-C: cases worked by hand, and agreement with a package."""

import importlib

import cv2
import numpy as np
import pytest
from legacy import Legacy
from required import need

from bev.data.images.corruptions import common
from bev.data.images.corruptions.common import brightness, fog, motion_blur, snow
from bev.data.images.corruptions.draws import skip
from bev.data.images.corruptions.fractal import plasma

SIZE = (90, 160)


class Constant:
    """Draws that are all the same number."""

    def __init__(self, number):
        self.number = number

    def random(self, size=None, dtype=float):
        return self.number if size is None else np.full(size, self.number, dtype)

    def standard_normal(self, size=None, dtype=float):
        return np.full(size, self.number, dtype)


def test_brightness_keeps_hue_and_saturation():
    pixels = [[[100, 50, 0], [0, 0, 0], [255, 0, 128], [240, 120, 60]]]
    found = brightness(np.array(pixels, np.uint8), 2)  # adds 0.2, or 51 of 255
    # Each is multiplied by its new over its old largest channel: 151/100; 0 + 51; 1; 255/240.
    assert np.abs(found.astype(int) - [[[151, 75, 0], [51] * 3, [255, 0, 128], [255, 127, 63]]]
                  ).max() <= 1  # fmt: skip


def test_a_blurred_point_is_a_line_of_the_drawn_direction():
    image = np.zeros((61, 61, 3), np.uint8)
    image[30, 30] = 255
    # 0.5 of -45 to 45 degrees is 0: the image moves to the left by up to 2 * 15 pixels.
    found = motion_blur(image, 2, Constant(0.5))
    weights = np.exp(-(np.arange(31) ** 2) / (2 * 5.0**2))
    line = (255 * weights / weights.sum()).astype(int)
    row = found[30, :, 0].astype(int)
    assert np.abs(row[30::-1][:31] - line).max() <= 1
    assert row[31:].max() == 0 and found[:30].max() == 0 and found[31:].max() == 0


def test_blur_keeps_a_plain_image():
    plain = np.full((*SIZE, 3), 77, np.uint8)
    assert np.abs(motion_blur(plain, 5, np.random.default_rng(0)).astype(int) - 77).max() <= 1


def test_the_fractal_of_a_small_map_worked_by_hand():
    """Two levels with all draws 0.75, which are offsets of half of each level's amplitude."""
    # Level 0: point 0; square and both edges 0 + 5000, 2500 + 5000: mean of two 0, two 5000.
    level = np.array([[0, 7500], [7500, 5000]], float)
    # Level 1, offsets 1250: squares are the mean of all four (a torus) and 1250.
    square = level.mean() + 1250
    across = (level + np.roll(level, -1, axis=1) + 2 * square) / 4 + 1250
    along = (level + np.roll(level, -1, axis=0) + 2 * square) / 4 + 1250
    expected = np.empty((4, 4))
    expected[::2, ::2], expected[1::2, 1::2] = level, square
    expected[::2, 1::2], expected[1::2, ::2] = across, along
    expected = (expected - expected.min()) / np.ptp(expected)
    found = plasma((4, 4), 2.0, Constant(0.75))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_window_of_a_fractal_is_that_of_the_whole_map():
    whole = plasma((256, 256), 1.4, np.random.default_rng(3))
    part = plasma((101, 256), 1.4, np.random.default_rng(3))
    assert np.abs(whole[:101] - part).max() < 1e-2
    assert whole.min() == 0 and whole.max() == 1


@pytest.mark.parametrize("before", [0, 3, 4])  # of an odd number, half a step is kept for later
@pytest.mark.parametrize("count", [0, 5, 4096])
def test_numbers_after_a_skip_are_those_after_drawing(before, count):
    drawn, skipped = np.random.default_rng(7), np.random.default_rng(7)
    for draws in (drawn, skipped):
        draws.random(before, dtype=np.float32)
    drawn.random(count, dtype=np.float32)
    skip(skipped, count)
    np.testing.assert_array_equal(
        skipped.random(9, dtype=np.float32), drawn.random(9, dtype=np.float32)
    )
    assert skipped.random() == drawn.random()


@pytest.mark.parametrize("shape", [(101, 256), (256, 101), (129, 130), (1, 3)])
def test_a_window_takes_the_numbers_of_the_whole_map(shape):
    """Whether they are left out, or drawn and not used as of a generator without steps."""
    left_out, drawn = np.random.default_rng(3), np.random.Generator(np.random.MT19937(3))
    side = 1 << (max(shape) - 1).bit_length() if max(shape) > 3 else 4
    for draws in (left_out, drawn):
        after = type(draws)(type(draws.bit_generator)(3))
        plasma(shape, 1.4, draws)
        for level in range(side.bit_length() - 1):
            after.random(3 * 4**level, dtype=np.float32)
        assert draws.random() == after.random()


def test_fog_never_exceeds_the_brightest_value_of_before():
    image = np.random.default_rng(0).integers(0, 181, (*SIZE, 3), dtype=np.uint8)
    for severity in range(1, 6):
        found = fog(image, severity, np.random.default_rng(severity))
        assert found.max() <= 180 and found.std() < image.std()
    assert fog(np.zeros_like(image), 3, np.random.default_rng(0)).max() == 0


def test_snow_without_flakes_whitens_by_the_grey_of_red_green_and_blue():
    image = np.zeros((*SIZE, 3), np.uint8)
    image[..., 0] = 200
    # Draws of -9 are below the threshold. 0.8 x + 0.2 max(x, 1.5 * 0.299 * 200 + 127.5)
    found = snow(image, 1, Constant(-9.0))
    assert found[0, 0, 0] in (203, 204) and found[0, 0, 1] in (43, 44)
    assert (found == found[0, 0]).all()
    flaky = snow(image, 1, np.random.default_rng(0)).astype(int)
    assert (flaky >= found).all() and (flaky > found).mean() > 0.2


@pytest.mark.parametrize("severity", range(1, 6))
def test_results_are_those_of_imagecorruptions(severity, nuscenes_root):
    """Within one grey level, which is where a fraction is cut off, on a real image."""
    need("imagecorruptions")
    corrupt = importlib.import_module("imagecorruptions").corrupt
    path = next((nuscenes_root / "samples" / "CAM_FRONT").glob("*.jpg"))
    image = cv2.resize(cv2.imread(str(path)), (400, 225), interpolation=cv2.INTER_AREA)
    for name in ("motion_blur", "fog", "snow", "brightness"):
        np.random.seed(severity)
        expected = corrupt(image, severity, name).astype(int)
        own = getattr(common, name)
        draws = () if name == "brightness" else (Legacy(severity),)
        difference = np.abs(own(image, severity, *draws) - expected)
        assert difference.max() <= 1, name
        assert difference.mean() < 0.1, name
        assert np.abs(expected - image).mean() > 5, name

"""Colour quantisation and low light: exact values, and the moments of the noise."""

import numpy as np
import pytest

from bev.data.images.corruptions.sensor import color_quant, low_light


def test_the_highest_bits_are_kept():
    image = np.array([[[0b10110111, 0b01111111, 255]]], np.uint8)
    assert color_quant(image, 1).tolist() == [[[0b10110000, 0b01110000, 0b11110000]]]
    assert color_quant(image, 3).tolist() == [[[0b10000000, 0b01000000, 0b11000000]]]


@pytest.mark.parametrize(("severity", "light", "photons", "noise"), [
    (2, 0.4, 120, 0.018), (3, 0.3, 50, 0.026), (4, 0.2, 30, 0.038),
])  # fmt: skip
def test_low_light_has_the_published_mean_and_noise(severity, light, photons, noise):
    image = np.full((200, 300, 3), 250, np.uint8)
    image[0], image[1] = 50, 230  # the lowest value is black
    found = low_light(image, severity, np.random.default_rng(0)) / 255
    assert found[0].mean() < noise
    for rows, level in ((slice(1, 2), 0.9**2), (slice(2, None), 1.0)):
        expected = level * light
        deviation = np.sqrt(expected / photons + noise**2)
        near = 6 * deviation / found[rows].size ** 0.5
        assert found[rows].mean() == pytest.approx(expected - 0.5 / 255, abs=near)
        assert found[rows].std() == pytest.approx(deviation, rel=0.1)


def test_a_plain_image_has_no_range_and_becomes_dark():
    image = np.full((20, 30, 3), 99, np.uint8)
    assert low_light(image, 2, np.random.default_rng(0)).mean() < 5

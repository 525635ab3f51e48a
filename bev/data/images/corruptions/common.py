"""Motion blur, brightness, fog and snow of ImageNet-C, by OpenCV.

Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations (2019), and their parameters by severity (1 to 5). All lengths are in pixels, whatever
the size of the image. The results agree with those of the package imagecorruptions-imaug within a
grey level for the same random numbers (the tests state where), in a fraction of its time
(``bevlab benchmark corruptions``).

Images are (h, w, 3) uint8. The order of the channels matters for snow alone, which weights them as
red, green and blue to a grey.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from bev.data.images.corruptions.draws import Draws, uniform
from bev.data.images.corruptions.fractal import plasma

_BLUR = ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0))  # radius, sigma
_BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)
_FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))  # density, decay
_SNOW = (  # mean, deviation, zoom, threshold, radius and sigma of the blur, share of the image
    (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
    (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
    (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
)
_GREY = (0.299, 0.587, 0.114)

Image = UInt8[np.ndarray, "h w 3"]


def motion_blur(image: Image, severity: int, draws: Draws) -> Image:
    """Blur along a line at -45 to 45 degrees, by one half of a Gaussian."""
    radius, sigma = _BLUR[severity - 1]
    return _bytes(_blurred(image, radius, sigma, uniform(draws, -45, 45)))


def brightness(image: Image, severity: int) -> Image:
    """Add to the value of each pixel in HSV.

    Hue and saturation stay, so a pixel is multiplied by the ratio of its new and its old value,
    which is its largest channel: a table of 256 values times 256 channels holds all results.
    """
    value = cv2.max(cv2.max(image[..., 0], image[..., 1]), image[..., 2])
    place = (value.astype(np.uint16) << 8)[..., None] | image
    return np.take(_brighter(severity), place)


def fog(image: Image, severity: int, draws: Draws) -> Image:
    """Add a plasma fractal to each channel, and scale the sum to the brightest value of before."""
    density, decay = _FOG[severity - 1]
    brightest = int(image.max())
    scale = brightest / (brightest + 255 * density) if brightest else 0.0
    layer = plasma((image.shape[0], image.shape[1]), decay, draws)
    layer *= np.float32(255 * density * scale)
    # OpenCV rounds to the nearest, so half a grey level less cuts fractions off.
    planes = [
        cv2.addWeighted(plane, scale, layer, 1.0, -0.5, dtype=cv2.CV_8U)
        for plane in cv2.split(image)
    ]
    return cv2.merge(planes)


def snow(image: Image, severity: int, draws: Draws) -> Image:
    """Whiten the image, and add a layer of blurred flakes and the same layer upside down."""
    mean, deviation, zoom, threshold, radius, sigma, share = _SNOW[severity - 1]
    height, width = image.shape[:2]
    noise = draws.standard_normal((height, width), dtype=np.float32)
    flakes = _zoomed(noise, zoom)
    flakes *= np.float32(deviation)
    flakes += np.float32(mean)
    flakes[flakes < threshold] = 0
    np.minimum(flakes, 1, out=flakes)
    flakes = _blurred(flakes, radius, sigma, uniform(draws, -135, -45))
    flakes = np.rint(flakes[:height, :width] * np.float32(255))
    flakes += flakes[::-1, ::-1]
    # (1 - share) times 1.5 times the grey and a half
    weights = np.array([[*(1.5 * weight for weight in _GREY), 0.5 * 255]]) * (1 - share)
    white = cv2.transform(image.astype(np.float32), weights.astype(np.float32))
    # share * x + (1 - share) * max(x, grey), and the flakes
    found = np.empty(image.shape, np.uint8)
    for channel in range(3):
        plane = image[..., channel].astype(np.float32)
        lit = plane * np.float32(share)
        lit += white
        np.maximum(lit, plane, out=lit)
        lit += flakes
        found[..., channel] = _bytes(lit)
    return found


def _bytes(values: np.ndarray) -> np.ndarray:
    """Values cut to 0 to 255, without their fractions, as in the package."""
    np.minimum(values, 255, out=values)
    return values.astype(np.uint8)


@lru_cache(maxsize=8)
def _brighter(severity: int) -> UInt8[np.ndarray, "65536"]:
    """Result for each largest channel times 256 plus the channel."""
    largest, channel = np.arange(256)[:, None] / 255, np.arange(256)[None] / 255
    value = np.minimum(largest + _BRIGHTNESS[severity - 1], 1)
    ratio = np.divide(channel, largest, out=np.ones((256, 256)), where=largest > 0)
    return (np.minimum(value * ratio, 1) * 255).astype(np.uint8).reshape(-1)


def _blurred(image: np.ndarray, radius: int, sigma: float, angle: float) -> np.ndarray:
    """Weighted sum of an image moved along a line, as float32; edges are repeated.

    Args:
        image: (h, w) or (h, w, 3), uint8 or float32.
        radius: half the length of the line, pixels: the line starts at the pixel and has 2 * radius
            + 1 steps of a pixel.
        sigma: standard deviation of the Gaussian of the weights, pixels.
        angle: direction of the line, degrees, clockwise in the image from the left.
    """
    steps = np.arange(2 * radius + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    sine, cosine = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    # The image moves by (dx, dy), so each pixel takes the value at minus that.
    right = np.ceil(steps * cosine - 0.5).astype(int)
    down = np.ceil(steps * sine - 0.5).astype(int)
    left, top = right.min(), down.min()
    kernel = np.zeros((np.ptp(down) + 1, np.ptp(right) + 1), np.float32)
    np.add.at(kernel, (down - top, right - left), weights)
    return cv2.filter2D(
        image, cv2.CV_32F, kernel, anchor=(int(-left), int(-top)), borderType=cv2.BORDER_REPLICATE
    )


def _zoomed(image: Float32[np.ndarray, "h w"], zoom: float) -> Float32[np.ndarray, "H W"]:
    """Enlarge the middle of an image, bilinear, so that the corners' centres stay corners.

    The result is at least as large as the image, by less than ``zoom`` pixels along each side.
    """
    for axis in (0, 1):
        length = image.shape[axis]
        part = math.ceil(length / zoom)
        first = (length - part) // 2
        image = image[first : first + part] if axis == 0 else image[:, first : first + part]
    for axis in (0, 1):
        part = image.shape[axis]
        count = round(part * zoom)
        place = np.arange(count) * ((part - 1) / max(count - 1, 1))
        lower = np.minimum(place.astype(int), max(part - 2, 0))
        share = (place - lower).astype(np.float32)
        share = share[:, None] if axis == 0 else share[None]
        low, high = image.take(lower, axis), image.take(np.minimum(lower + 1, part - 1), axis)
        high -= low
        high *= share
        low += high
        image = low
    return image

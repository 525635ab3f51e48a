"""Sky and distant skyline: a panorama around the scene, sampled by the direction of each pixel.

The ego vehicle stays level, so the pixels of a camera keep their elevation and only their azimuth
changes with the heading. The look-up maps are therefore computed once per scene.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bev.lab.synthetic.rendering.weather import Weather
from bev.lab.synthetic.rig import Mount

_WIDTH, _HEIGHT = 2048, 320
_LOW, _HIGH = -4.0, 36.0
"""Elevation of the panorama's lower and upper edge, degrees."""


@dataclass(frozen=True)
class Backdrop:
    """Look-up maps of one camera, whose upper rows are those with sky.

    Attributes:
        column: panorama column of each pixel in the upper rows, for heading 0, float32.
        row: panorama row of each pixel in the upper rows, float32.
        sky: mask of the sky in the upper rows, bool.
        top: first image row with ground.
        haze: haze weight of each pixel in the rows from ``top`` on, float32.
    """

    column: np.ndarray
    row: np.ndarray
    sky: np.ndarray
    top: int
    haze: np.ndarray


def make_panorama(weather: Weather, rng: np.random.Generator) -> np.ndarray:
    """Panorama (320, 2048, 3) uint8; azimuth increases to the right, elevation upwards."""
    elevation = np.linspace(_HIGH, _LOW, _HEIGHT)
    blend = np.clip(elevation / 30.0, 0.0, 1.0)[:, None] ** 0.7
    column = weather.sky_low * (1 - blend) + weather.sky_top * blend
    sky = np.repeat(column[:, None], _WIDTH, axis=1)
    cover = np.zeros((_HEIGHT, _WIDTH), np.float32)
    for cells, strength in ((8, 1.0), (20, 0.7), (48, 0.4), (120, 0.2)):
        seeds = rng.normal(0.0, strength, (max(3, cells // 3), cells)).astype(np.float32)
        seeds[:, -1] = seeds[:, 0]
        cover += cv2.resize(seeds, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_CUBIC)
    cover = np.clip(0.5 * cover + weather.clouds - 0.35, 0.0, 1.0)[..., None] * 0.75
    light = np.array([238.0, 236.0, 234.0]) * (0.72 + 0.3 * min(1.0, weather.direct + 0.4))
    sky = sky * (1.0 - cover) + np.minimum(light, 250.0) * cover
    _paint_skyline(sky, weather, rng)
    return np.clip(sky, 0, 255).astype(np.uint8)


def _paint_skyline(sky: np.ndarray, weather: Weather, rng: np.random.Generator) -> None:
    """Paint distant houses and trees along the horizon, in place."""
    per_degree = _HEIGHT / (_HIGH - _LOW)
    base = int(_HIGH * per_degree)
    for far, tint in ((0.75, (140, 135, 130)), (0.5, (95, 110, 95))):
        colour = np.asarray(tint) * (1 - far) + weather.sky_low * far
        at = 0
        while at < _WIDTH:
            wide = int(rng.integers(12, 70))
            tall = int(rng.gamma(2.0, 0.9) * per_degree * (1.0 if far > 0.6 else 0.5))
            gain = rng.uniform(0.92, 1.06)
            sky[max(0, base - tall) : base, at : at + wide] = colour * gain
            at += wide
    sky[base:] = weather.sky_low * 0.55 + np.array([85.0, 100.0, 95.0]) * 0.45


def make_backdrop(mount: Mount, size: tuple[int, int], weather: Weather) -> Backdrop:
    """Look-up maps of one camera."""
    width, height = size
    u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    k, pose = mount.camera_matrix, mount.ego_from_sensor
    rays = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], np.ones_like(u)], axis=-1)
    rays = rays @ pose[:3, :3].T
    flat = np.hypot(rays[..., 0], rays[..., 1])
    elevation = np.degrees(np.arctan2(rays[..., 2], flat))
    above = elevation > 0.12
    last = int(np.flatnonzero(above.any(1)).max(initial=-1)) + 1
    top = int(np.flatnonzero((~above).any(1)).min(initial=height))
    azimuth = np.arctan2(rays[:last, :, 1], rays[:last, :, 0])
    distance = pose[2, 3] * flat / np.maximum(-rays[..., 2], 1e-4)
    row = (_HIGH - elevation) / (_HIGH - _LOW) * _HEIGHT - 0.5
    haze = 1.0 - np.exp(-np.minimum(distance[top:], 2000.0) / weather.haze)
    return Backdrop(
        column=(azimuth / (2 * np.pi) * _WIDTH).astype(np.float32),
        row=np.maximum(row[:last], 0.0).astype(np.float32),  # the edge continues above the panorama
        sky=above[:last],
        top=top,
        haze=haze.astype(np.float32),
    )


def paint_sky(image: np.ndarray, backdrop: Backdrop, panorama: np.ndarray, yaw: float) -> None:
    """Paint the sky into an image for an ego heading ``yaw`` [rad], in place."""
    shifted = np.float32((yaw / (2 * np.pi) * _WIDTH) % _WIDTH)
    if not len(backdrop.column):
        return
    columns = backdrop.column + shifted
    rows = slice(0, len(columns))
    sky = cv2.remap(panorama, columns, backdrop.row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cv2.copyTo(sky, backdrop.sky.astype(np.uint8), image[rows])


def paint_haze(image: np.ndarray, backdrop: Backdrop, weather: Weather) -> None:
    """Blend the ground with the colour of the horizon, in place."""
    rows = image[backdrop.top :]
    far = min(len(rows), int(np.flatnonzero((backdrop.haze > 0.04).any(1)).max(initial=0)) + 1)
    air = np.empty_like(rows[:far])
    air[:] = weather.sky_low
    weight = np.ascontiguousarray(backdrop.haze[:far])
    rows[:far] = cv2.blendLinear(rows[:far], air, 1.0 - weight, weight)

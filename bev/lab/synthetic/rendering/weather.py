"""Weather of a scene: sun, sky, haze, and the exposure of the cameras."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weather:
    """Light, haze and exposure of a scene.

    Attributes:
        sun: (3,) unit vector towards the sun, global frame.
        ambient: brightness in the shade.
        direct: brightness added by direct sunlight.
        sky_top: (3,) BGR colour of the sky high above the horizon.
        sky_low: (3,) BGR colour of the sky at the horizon.
        clouds: cloud cover, 0 to 1.
        haze: distance at which haze replaces 63 % of an object's colour, metres.
        gain: (3,) exposure and white balance by channel.
        gamma: exponent of the tone curve.
    """

    sun: np.ndarray
    ambient: float
    direct: float
    sky_top: np.ndarray
    sky_low: np.ndarray
    clouds: float
    haze: float
    gain: np.ndarray
    gamma: float


def make_weather(rng: np.random.Generator) -> Weather:
    """Random weather: clear, hazy, overcast or evening."""
    kind = rng.choice(["clear", "hazy", "overcast", "evening"], p=[0.4, 0.2, 0.25, 0.15])
    top, low, ambient, direct, clouds, haze, high = {
        "clear": ((205, 150, 90), (225, 210, 190), 0.55, 0.55, 0.35, 450.0, (35, 65)),
        "hazy": ((210, 190, 165), (222, 218, 210), 0.66, 0.35, 0.5, 220.0, (30, 60)),
        "overcast": ((190, 185, 178), (212, 210, 206), 0.82, 0.1, 0.85, 280.0, (40, 65)),
        "evening": ((160, 110, 80), (150, 185, 230), 0.5, 0.5, 0.5, 320.0, (14, 28)),
    }[kind]
    elevation, azimuth = np.radians(rng.uniform(*high)), rng.uniform(-np.pi, np.pi)
    sun = np.array(
        [
            np.cos(elevation) * np.cos(azimuth),
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
        ]
    )
    return Weather(
        sun=sun,
        ambient=ambient * float(rng.uniform(0.95, 1.05)),
        direct=direct * float(rng.uniform(0.85, 1.1)),
        sky_top=np.asarray(top, float) * rng.uniform(0.92, 1.05),
        sky_low=np.asarray(low, float) * rng.uniform(0.95, 1.03),
        clouds=float(clouds * rng.uniform(0.6, 1.15)),
        haze=float(haze * rng.uniform(0.8, 1.3)),
        gain=rng.uniform(0.82, 1.08) * (1.0 + rng.normal(0.0, 0.025, 3)),
        gamma=float(rng.uniform(0.88, 1.14)),
    )

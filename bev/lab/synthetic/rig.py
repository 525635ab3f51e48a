"""Sensor rig: poses, intrinsics and firing times of the cameras and the lidar.

The numbers are two real vehicles' calibrations (nuScenes ``calibrated_sensor`` rows of one log from
Singapore and one from Boston) and real firing offsets to the lidar, rounded. Each scene has one of
the two rigs, slightly jittered, so that a model has to use the calibration of its input.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from pyquaternion import Quaternion

CAMERAS = (
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_FRONT_LEFT",
    "CAM_BACK",
    "CAM_BACK_LEFT",
    "CAM_BACK_RIGHT",
)
FISHEYES = {
    "CAM_FRONT": "CAM_FRONT",
    "CAM_LEFT": "CAM_BACK_LEFT",
    "CAM_BACK": "CAM_BACK",
    "CAM_RIGHT": "CAM_BACK_RIGHT",
}
"""Cameras of a fisheye rig, each with the one of ``CAMERAS`` that fires at the same time."""

LIDAR = "LIDAR_TOP"
REAL_IMAGE_WIDTH = 1600


class _Calibration(NamedTuple):
    """Calibration of a sensor.

    Attributes:
        translation: sensor origin in the ego frame, metres.
        rotation: unit quaternion (w, x, y, z), ego from sensor.
        lens: focal length, cx, cy in pixels at 1600x900; None for the lidar.
    """

    translation: tuple[float, float, float]
    rotation: tuple[float, float, float, float]
    lens: tuple[float, float, float] | None = None


_SINGAPORE = {
    "CAM_FRONT": _Calibration(
        (1.7008, 0.0159, 1.5110),
        (0.49980, -0.50303, 0.49978, -0.49737),
        (1266.417, 816.267, 491.507),
    ),
    "CAM_FRONT_RIGHT": _Calibration(
        (1.5508, -0.4934, 1.4957),
        (0.20603, -0.20269, 0.68245, -0.67136),
        (1260.847, 807.968, 495.334),
    ),
    "CAM_FRONT_LEFT": _Calibration(
        (1.5239, 0.4946, 1.5093),
        (0.67573, -0.67363, 0.21214, -0.21123),
        (1272.598, 826.615, 479.752),
    ),
    "CAM_BACK": _Calibration(
        (0.0283, 0.0035, 1.5791),
        (0.50379, -0.49740, -0.49419, 0.50455),
        (809.221, 829.220, 481.778),
    ),
    "CAM_BACK_LEFT": _Calibration(
        (1.0357, 0.4848, 1.5910),
        (0.69242, -0.70316, -0.11648, 0.11203),
        (1256.741, 792.113, 492.776),
    ),
    "CAM_BACK_RIGHT": _Calibration(
        (1.0149, -0.4806, 1.5624),
        (0.12281, -0.13240, -0.70043, 0.69050),
        (1259.514, 807.253, 501.196),
    ),
    "LIDAR_TOP": _Calibration((0.9437, 0.0, 1.8402), (0.70780, -0.00649, 0.01065, -0.70631)),
}
_BOSTON = {
    "CAM_FRONT": _Calibration(
        (1.7220, 0.0048, 1.4949),
        (0.50772, -0.49734, 0.49837, -0.49648),
        (1252.813, 826.588, 469.985),
    ),
    "CAM_FRONT_RIGHT": _Calibration(
        (1.5808, -0.4991, 1.5175),
        (0.20335, -0.19146, 0.67857, -0.67936),
        (1256.749, 817.789, 451.954),
    ),
    "CAM_FRONT_LEFT": _Calibration(
        (1.5753, 0.5005, 1.5070),
        (0.68121, -0.66875, 0.21017, -0.21108),
        (1257.863, 827.241, 450.916),
    ),
    "CAM_BACK": _Calibration(
        (0.0552, 0.0108, 1.5679),
        (0.50680, -0.49776, -0.49880, 0.49659),
        (796.891, 857.777, 476.885),
    ),
    "CAM_BACK_LEFT": _Calibration(
        (1.0485, 0.4831, 1.5621),
        (0.70486, -0.69073, -0.11209, 0.11617),
        (1254.986, 829.577, 467.168),
    ),
    "CAM_BACK_RIGHT": _Calibration(
        (1.0595, -0.4672, 1.5505),
        (0.13819, -0.13797, -0.68933, 0.69764),
        (1249.963, 825.377, 462.548),
    ),
    "LIDAR_TOP": _Calibration((0.9858, 0.0, 1.8402), (0.70675, -0.01530, 0.01740, -0.70708)),
}

# Seconds from the lidar's key-frame time to each camera's exposure.
_FIRING_OFFSET = {
    "CAM_FRONT": -0.0354,
    "CAM_FRONT_RIGHT": -0.0274,
    "CAM_FRONT_LEFT": -0.0430,
    "CAM_BACK": -0.0103,
    "CAM_BACK_LEFT": -0.0004,
    "CAM_BACK_RIGHT": -0.0197,
    "LIDAR_TOP": 0.0,
}


@dataclass(frozen=True)
class Mount:
    """Sensor mounted on the ego vehicle.

    Attributes:
        channel: channel of the sensor.
        translation: (3,) sensor origin in the ego frame, metres.
        rotation: (4,) unit quaternion (w, x, y, z), ego from sensor.
        intrinsic: (3, 3) intrinsic matrix, pixels (pixel centres at integer + 0.5); None for the
            lidar.
    """

    channel: str
    translation: np.ndarray
    rotation: np.ndarray
    intrinsic: np.ndarray | None

    @property
    def camera_matrix(self) -> np.ndarray:
        """(3, 3) intrinsic matrix of a camera.

        Raises:
            ValueError: for the lidar, which has none.
        """
        if self.intrinsic is None:
            raise ValueError(f"{self.channel} has no intrinsic matrix; it is not a camera.")
        return self.intrinsic

    @property
    def ego_from_sensor(self) -> np.ndarray:
        """(4, 4) rigid transform from the sensor frame to the ego frame."""
        matrix = np.eye(4)
        matrix[:3, :3] = Quaternion(self.rotation).rotation_matrix
        matrix[:3, 3] = self.translation
        return matrix

    def row(self) -> dict:
        """Fields of the sensor's ``calibrated_sensor`` row, as JSON-ready plain data."""
        return {
            "translation": [round(float(v), 9) for v in self.translation],
            "rotation": [round(float(v), 12) for v in self.rotation],
            "camera_intrinsic": [] if self.intrinsic is None else self.intrinsic.tolist(),
        }

    def parts(self, size: tuple[int, int]) -> tuple["Part", ...]:
        """Pinhole views that compose the image of ``size`` (width, height): one for a pinhole."""
        return (Part(self, size),)

    def assembled(self, images: list[np.ndarray]) -> np.ndarray:
        """Compose the camera's image from the images of its parts."""
        return images[0]


@dataclass(frozen=True)
class Part:
    """Pinhole view that is a part of a camera's image.

    Attributes:
        mount: pose and intrinsics of the view.
        size: (width, height) in pixels.
        weight: number of pixels of the camera's image per mask pixel (see ``visibility.masks``);
            None if all mask pixels have the same weight.
    """

    mount: Mount
    size: tuple[int, int]
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Rig:
    """Cameras and lidar of one scene, by channel."""

    mounts: dict[str, Mount]

    @property
    def cameras(self) -> list[Mount]:
        """Cameras, in the order of ``CAMERAS`` or ``FISHEYES``."""
        return [mount for name, mount in self.mounts.items() if name != LIDAR]

    @property
    def lidar(self) -> Mount:
        """Lidar on the roof."""
        return self.mounts[LIDAR]


def make_rig(rng: np.random.Generator, image_width: int) -> Rig:
    """Rig of one of the two real vehicles, jittered, with intrinsics for ``image_width`` pixels.

    The jitter (0.3 degrees, 1 cm, 0.4 % of the focal length, 3 real pixels; standard deviations) is
    part of the written calibration: the scene is rendered with exactly the rig of its tables.
    """
    table = (_SINGAPORE, _BOSTON)[rng.integers(2)]
    scale = image_width / REAL_IMAGE_WIDTH
    mounts = {}
    for channel, (translation, rotation, lens) in table.items():
        turn = Quaternion(axis=rng.normal(size=3), degrees=rng.normal(0.0, 0.3))
        place = np.asarray(translation) + rng.normal(0.0, 0.01, 3)
        intrinsic = None
        if lens is not None:
            focal = lens[0] * (1.0 + rng.normal(0.0, 0.004)) * scale
            cx, cy = (np.asarray(lens[1:]) + rng.normal(0.0, 3.0, 2)) * scale
            intrinsic = np.array([[focal, 0.0, cx], [0.0, focal, cy], [0.0, 0.0, 1.0]])
        unit = (Quaternion(rotation).normalised * turn).normalised
        mounts[channel] = Mount(channel, place, unit.elements, intrinsic)
    return Rig(mounts)


def firing_time(channel: str, key_frame_time_us: int, rng: np.random.Generator) -> int:
    """Firing time of ``channel`` for a key frame, microseconds; the lidar fires at its time."""
    if channel == LIDAR:
        return key_frame_time_us
    return key_frame_time_us + round(1e6 * _FIRING_OFFSET[channel] + rng.normal(0.0, 250.0))

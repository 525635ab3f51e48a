"""Rig of four fisheye cameras around the ego vehicle, whose images are composed of pinhole views.

Painting, masks and ordering work on pinhole views. A fisheye image is sampled from level square
views of 90 degrees from the same position (faces of a cube), each pixel in the direction of its ray
through the lens. ``KannalaBrandt.project`` is not used, so that projecting points onto such an
image is an independent test of the lens model.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from pyquaternion import Quaternion

from bev.geometry import KannalaBrandt
from bev.lab.synthetic.config import SceneKey
from bev.lab.synthetic.rig import FISHEYES, LIDAR, Mount, Part, Rig
from bev.lab.synthetic.visibility.masks import MASK_SCALE

_MOUNTS = {
    "CAM_FRONT": ((3.30, 0.00, 0.80), 0.0, 12.0),
    "CAM_LEFT": ((1.90, 0.98, 1.05), 90.0, 20.0),
    "CAM_BACK": ((-0.80, 0.00, 0.95), 180.0, 15.0),
    "CAM_RIGHT": ((1.90, -0.98, 1.05), -90.0, 20.0),
}
"""Position in the ego frame [m], heading to the left and pitch down [degrees]."""

_COEFFICIENTS = (0.03, -0.006, 0.0, 0.0)
_MAX_ANGLE = float(np.radians(95.0))
_FOCAL = 0.285
"""Pixels per radian on the optical axis, in image widths: the field of view fills the width."""

_BORDER = 2
"""Pixels of a face beyond 90 degrees, for interpolation."""


@dataclass(frozen=True)
class FisheyeMount(Mount):
    """Fisheye camera mounted on the ego vehicle.

    ``intrinsic`` maps the plane of the lens to pixels.

    Attributes:
        lens: lens model.
        size: (width, height) of its images in pixels.
    """

    lens: KannalaBrandt
    size: tuple[int, int]

    def row(self) -> dict:
        lens = {
            "camera_model": "fisheye",
            "camera_distortion": self.lens.coefficients.tolist(),
            "camera_max_angle": self.lens.max_angle.item(),
        }
        return {**super().row(), **lens}

    def parts(self, size: tuple[int, int]) -> tuple[Part, ...]:
        return self._faces[0]

    def assembled(self, images: list[np.ndarray]) -> np.ndarray:
        """Compose the fisheye image from those of the faces; black beyond the field of view."""
        return cv2.remap(np.concatenate(images), *self._faces[1], cv2.INTER_LINEAR)

    @cached_property
    def _faces(self) -> tuple[tuple[Part, ...], tuple[np.ndarray, np.ndarray]]:
        """Faces in the lens's field of view, and each pixel's coordinates in the stacked faces."""
        rotation = Quaternion(self.rotation).rotation_matrix
        rays = self._rays() @ rotation.T
        axes = _cube(float(np.arctan2(rotation[1, 2], rotation[0, 2])))
        ahead = np.stack([rays @ face[:, 2] for face in axes])
        seen = np.isfinite(rays).all(-1)
        nearest = np.where(seen, ahead.argmax(0), -1)
        focal = self.camera_matrix[0, 0]
        side = 2 * (int(np.ceil(focal)) + _BORDER)
        intrinsic = np.array([[focal, 0.0, side / 2], [0.0, focal, side / 2], [0.0, 0.0, 1.0]])
        parts: list[Part] = []
        column, row = (np.full(nearest.shape, -1e4, np.float32) for _ in range(2))
        for number, face in enumerate(axes):
            on_face = nearest == number
            if not on_face.any():
                continue
            inside = rays[on_face] @ face
            pixels = focal * inside[:, :2] / inside[:, 2:] + side / 2
            # OpenCV counts pixel centres at integers.
            column[on_face] = pixels[:, 0] - 0.5
            row[on_face] = pixels[:, 1] - 0.5 + len(parts) * side
            cells = (pixels // MASK_SCALE).astype(int)
            weight = np.zeros((side // MASK_SCALE, side // MASK_SCALE))
            np.add.at(weight, (cells[:, 1], cells[:, 0]), 1.0)
            turn = Quaternion(matrix=face, rtol=1e-6, atol=1e-8).elements
            name = f"{self.channel} {number}"
            mount = Mount(name, self.translation, turn, intrinsic)
            parts.append(Part(mount, (side, side), weight))
        return tuple(parts), (column, row)

    def _rays(self) -> np.ndarray:
        """(height, width, 3) ray of each pixel, camera frame; NaN beyond the field of view."""
        width, height = self.size
        u, v = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
        pixels = np.stack([u, v, np.ones_like(u)], axis=-1)
        plane = torch.from_numpy(pixels @ np.linalg.inv(self.camera_matrix).T)
        return self.lens.unproject(plane).numpy()


def _cube(heading: float) -> list[np.ndarray]:
    """Axes (columns: right, down, forward) of six cube faces in the ego frame, the first ahead."""
    faces = []
    for turn in (0.0, 0.5, 1.0, 1.5):
        c, s = np.cos(heading + turn * np.pi), np.sin(heading + turn * np.pi)
        faces.append(np.array([[s, 0.0, c], [-c, 0.0, s], [0.0, -1.0, 0.0]]))
    right = faces[0][:, 0]
    for up in (1.0, -1.0):
        forward = np.array([0.0, 0.0, up])
        faces.append(np.stack([right, np.cross(forward, right), forward], axis=1))
    return faces


def fisheye_rig(rig: Rig, key: SceneKey, size: tuple[int, int]) -> Rig:
    """Rig of four fisheye cameras, jittered by scene, and the lidar of the given rig.

    Args:
        rig: rig of the scene, of which the lidar is kept.
        key: key of the scene.
        size: (width, height) of the images in pixels.
    """
    rng = np.random.default_rng([*key.entropy, 4])
    width, height = size
    mounts: dict[str, Mount] = {}
    for channel in FISHEYES:
        place, heading, pitch = _MOUNTS[channel]
        turn = Quaternion(axis=rng.normal(size=3), degrees=rng.normal(0.0, 0.5))
        ahead = Quaternion(matrix=_cube(np.radians(heading))[0])
        down = Quaternion(axis=(1.0, 0.0, 0.0), degrees=-pitch)
        focal = _FOCAL * width * (1.0 + rng.normal(0.0, 0.004))
        cx, cy = np.array([width, height]) * (0.5 + rng.normal(0.0, 0.002, 2))
        k1, k2, *others = _COEFFICIENTS
        numbers = (k1 + rng.normal(0.0, 0.004), k2 + rng.normal(0.0, 0.0005), *others)
        mounts[channel] = FisheyeMount(
            channel,
            np.asarray(place) + rng.normal(0.0, 0.01, 3),
            (ahead * down * turn).normalised.elements,
            np.array([[focal, 0.0, cx], [0.0, focal, cy], [0.0, 0.0, 1.0]]),
            KannalaBrandt.make(numbers, _MAX_ANGLE),
            size,
        )
    return Rig({**mounts, LIDAR: rig.lidar})

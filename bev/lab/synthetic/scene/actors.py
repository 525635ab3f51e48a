"""Actors, the annotated objects of a scene, and their placement without collisions."""

from dataclasses import dataclass

import numpy as np

from bev.lab.synthetic.objects.shape import Shape
from bev.lab.synthetic.scene.motion import Motion

GROUND_CLEARANCE = 0.02
"""Height [m] of box bottoms above the ground, so that ground returns lie outside of boxes."""


@dataclass(frozen=True)
class Actor:
    """Annotated object.

    Attributes:
        label: nuScenes detection class.
        category: nuScenes category.
        attribute: nuScenes attribute, "" for none.
        shape: shape of the object.
        motion: pose of the object over time.
    """

    label: str
    category: str
    attribute: str
    shape: Shape
    motion: Motion


@dataclass(frozen=True)
class Prop:
    """Visible object that is not annotated, such as a house or a tree.

    Attributes:
        shape: shape of the object.
        x: global x of its centre, metres.
        y: global y of its centre, metres.
        yaw: heading in the global frame, radians.
        z: height of its bottom above the ground, metres.
    """

    shape: Shape
    x: float
    y: float
    yaw: float
    z: float = 0.0


class FreeSpace:
    """Occupied space of a scene, for the placement of actors whose footprints never overlap.

    Args:
        times: (T,) seconds at which footprints are compared.
        margin: least distance between footprints, metres.
    """

    def __init__(self, times: np.ndarray, margin: float = 0.25) -> None:
        self._times = times
        self._margin = margin
        self._poses = np.zeros((0, 3, len(times)))
        self._halves = np.zeros((0, 2))

    def occupy(self, motion: Motion, length: float, width: float, ahead: float = 0.0) -> None:
        """Occupy the space of a footprint whose centre is ``ahead`` metres ahead of the pose."""
        x, y, yaw = motion.pose(self._times)
        pose = np.stack([x + ahead * np.cos(yaw), y + ahead * np.sin(yaw), yaw])
        self._poses = np.concatenate([self._poses, pose[None]])
        self._halves = np.concatenate([self._halves, [[0.5 * length, 0.5 * width]]])

    def is_free(self, motion: Motion, length: float, width: float) -> bool:
        """True if a footprint of this motion overlaps no occupied footprint at any time."""
        x, y, yaw = motion.pose(self._times)
        half = np.array([0.5 * length, 0.5 * width]) + self._margin
        gap = np.hypot(self._poses[:, 0] - x, self._poses[:, 1] - y)
        near = gap < (np.hypot(*half) + np.hypot(*self._halves.T))[:, None]
        other, step = np.nonzero(near)
        if len(other) == 0:
            return True
        poses = self._poses[other, :, step]
        dx, dy = poses[:, 0] - x[step], poses[:, 1] - y[step]
        overlap = _rectangles_overlap(dx, dy, yaw[step], half, poses[:, 2], self._halves[other])
        return not overlap.any()

    def place(self, motion: Motion, length: float, width: float) -> bool:
        """Occupy the space of a footprint if it is free; returns True if it was."""
        free = self.is_free(motion, length, width)
        if free:
            self.occupy(motion, length, width)
        return free


def _rectangles_overlap(dx, dy, yaw_a, half_a, yaw_b, half_b) -> np.ndarray:
    """Separating-axis test of pairs of rectangles; (dx, dy) from the centre of a to that of b."""
    c, s = np.abs(np.cos(yaw_b - yaw_a)), np.abs(np.sin(yaw_b - yaw_a))
    length_b, width_b = half_b[:, 0], half_b[:, 1]
    along_a = np.abs(dx * np.cos(yaw_a) + dy * np.sin(yaw_a))
    across_a = np.abs(-dx * np.sin(yaw_a) + dy * np.cos(yaw_a))
    along_b = np.abs(dx * np.cos(yaw_b) + dy * np.sin(yaw_b))
    across_b = np.abs(-dx * np.sin(yaw_b) + dy * np.cos(yaw_b))
    return (
        (along_a < half_a[0] + length_b * c + width_b * s)
        & (across_a < half_a[1] + length_b * s + width_b * c)
        & (along_b < length_b + half_a[0] * c + half_a[1] * s)
        & (across_b < width_b + half_a[0] * s + half_a[1] * c)
    )

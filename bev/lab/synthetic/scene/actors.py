"""Actors: the annotated objects of a scene, and the space they keep free of one another."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bev.lab.synthetic.objects.shape import Shape
from bev.lab.synthetic.scene.motion import Motion

GROUND_CLEARANCE = 0.02
"""Height of every box's bottom above the ground [m]: lidar returns from the ground stay outside."""

CATEGORIES = {
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "bus": "vehicle.bus.rigid",
    "trailer": "vehicle.trailer",
    "construction_vehicle": "vehicle.construction",
    "pedestrian": "human.pedestrian.adult",
    "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle",
    "traffic_cone": "movable_object.trafficcone",
    "barrier": "movable_object.barrier",
}
"""nuScenes detection class to the category written in the tables."""


@dataclass(frozen=True)
class Actor:
    """An annotated object: detection class, nuScenes category and attribute ("" for none), its
    shape and its motion."""

    label: str
    category: str
    attribute: str
    shape: Shape
    motion: Motion


@dataclass(frozen=True)
class Prop:
    """Something that is seen but not annotated (a house, a tree): shape, pose [m, rad], height of
    its foot above the ground."""

    shape: Shape
    x: float
    y: float
    yaw: float
    z: float = 0.0


class FreeSpace:
    """Places actors so that no two footprints ever meet.

    times: (T,) seconds at which footprints are compared; margin: metres kept between them.
    """

    def __init__(self, times: np.ndarray, margin: float = 0.25) -> None:
        self._times = times
        self._margin = margin
        self._poses = np.zeros((0, 3, len(times)))
        self._halves = np.zeros((0, 2))

    def occupy(self, motion: Motion, length: float, width: float, ahead: float = 0.0) -> None:
        """Takes the footprint's space; ``ahead`` moves its middle forward of the pose [m]."""
        x, y, yaw = motion.pose(self._times)
        pose = np.stack([x + ahead * np.cos(yaw), y + ahead * np.sin(yaw), yaw])
        self._poses = np.concatenate([self._poses, pose[None]])
        self._halves = np.concatenate([self._halves, [[0.5 * length, 0.5 * width]]])

    def is_free(self, motion: Motion, length: float, width: float) -> bool:
        """Whether a footprint of this motion meets none of those taken, at any time."""
        x, y, yaw = motion.pose(self._times)
        half = np.array([0.5 * length, 0.5 * width]) + self._margin
        gap = np.hypot(self._poses[:, 0] - x, self._poses[:, 1] - y)
        near = gap < (np.hypot(*half) + np.hypot(*self._halves.T))[:, None]
        who, when = np.nonzero(near)
        if len(who) == 0:
            return True
        theirs = self._poses[who, :, when]
        dx, dy = theirs[:, 0] - x[when], theirs[:, 1] - y[when]
        return not _rectangles_meet(dx, dy, yaw[when], half, theirs[:, 2], self._halves[who]).any()

    def place(self, motion: Motion, length: float, width: float) -> bool:
        """Takes the space if it is free; says whether it was."""
        free = self.is_free(motion, length, width)
        if free:
            self.occupy(motion, length, width)
        return free


def _rectangles_meet(dx, dy, yaw_a, half_a, yaw_b, half_b) -> np.ndarray:
    """Separating-axis test of pairs of rectangles; (dx, dy) from a's middle to b's."""
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


Maker = Callable[[np.random.Generator], Shape]

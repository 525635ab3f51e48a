"""Motion of objects along the road or along a straight line, at constant speed.

With constant speed the devkit's velocity (a difference of neighbouring key frames) is equal to the
object's velocity.
"""

from dataclasses import dataclass
from typing import Protocol, overload, runtime_checkable

import numpy as np

from bev.lab.synthetic.scene.road import Pose, Poses, Road, Values


@runtime_checkable
class Motion(Protocol):
    """Pose of an object over time."""

    @property
    def speed(self) -> float:
        """Speed along the object's heading, m/s."""
        ...

    @overload
    def pose(self, time: float) -> Pose: ...
    @overload
    def pose(self, time: np.ndarray) -> Poses: ...
    def pose(self, time: Values) -> tuple[Values, Values, Values]:
        """Global x, y [m] and yaw [rad] at ``time`` [s since the first key frame], same shape."""
        ...


@dataclass(frozen=True)
class RoadMotion:
    """Motion along the road at a constant lateral offset.

    Attributes:
        road: the road.
        s: position along the road at time 0, metres.
        t: lateral offset to the left, metres.
        forward: True for motion towards +s, False for motion towards -s.
        speed: speed in m/s.
    """

    road: Road
    s: float
    t: float
    forward: bool
    speed: float

    @overload
    def pose(self, time: float) -> Pose: ...
    @overload
    def pose(self, time: np.ndarray) -> Poses: ...
    def pose(self, time: Values) -> tuple[Values, Values, Values]:
        """Global x, y, yaw at ``time``; the speed applies at the offset t of the object."""
        stretch = 1.0 - self.road.curvature * self.t
        direction = 1.0 if self.forward else -1.0
        s = self.s + direction * self.speed * np.asarray(time, float) / stretch
        x, y, yaw = self.road.pose(s, self.t)
        return x, y, yaw if self.forward else yaw + np.pi


@dataclass(frozen=True)
class LineMotion:
    """Motion along a straight line from (x, y) with heading ``yaw``; stationary at speed 0."""

    x: float
    y: float
    yaw: float
    speed: float = 0.0

    @overload
    def pose(self, time: float) -> Pose: ...
    @overload
    def pose(self, time: np.ndarray) -> Poses: ...
    def pose(self, time: Values) -> tuple[Values, Values, Values]:
        """Global x, y, yaw at ``time``."""
        way = self.speed * np.asarray(time, float)
        return (
            self.x + np.cos(self.yaw) * way,
            self.y + np.sin(self.yaw) * way,
            self.yaw + 0.0 * way,
        )

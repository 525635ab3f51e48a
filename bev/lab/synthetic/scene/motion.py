"""How things move: along the road or along a straight line, at constant speed.

Constant speed keeps the devkit's velocity (a difference of neighbouring key frames) equal to the
true one. A motion answers one question: where is the object at these times?
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from bev.lab.synthetic.scene.road import Road, Values


@runtime_checkable
class Motion(Protocol):
    """Pose over time; speed in m/s along the object's heading."""

    speed: float

    def pose(self, time: Values) -> tuple[Values, Values, Values]:
        """Global x, y [m] and yaw [rad] at ``time`` [s since the first key frame], same shape."""
        ...


@dataclass(frozen=True)
class RoadMotion:
    """Following the road at a constant lateral offset ``t``; towards -s where not forward."""

    road: Road
    s: float
    t: float
    forward: bool
    speed: float

    def pose(self, time: Values) -> tuple[Values, Values, Values]:
        """Global x, y, yaw at ``time``; the speed holds at the object's own offset t."""
        stretch = 1.0 - self.road.curvature * self.t
        direction = 1.0 if self.forward else -1.0
        s = self.s + direction * self.speed * np.asarray(time, float) / stretch
        x, y, yaw = self.road.pose(s, self.t)
        return x, y, yaw if self.forward else yaw + np.pi


@dataclass(frozen=True)
class LineMotion:
    """Straight on from (x, y) with heading ``yaw``; speed 0 stands still."""

    x: float
    y: float
    yaw: float
    speed: float = 0.0

    def pose(self, time: Values) -> tuple[Values, Values, Values]:
        """Global x, y, yaw at ``time``."""
        way = self.speed * np.asarray(time, float)
        return (
            self.x + np.cos(self.yaw) * way,
            self.y + np.sin(self.yaw) * way,
            self.yaw + 0.0 * way,
        )

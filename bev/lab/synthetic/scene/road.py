"""Road: a street of constant curvature, its lanes, and a crossing street.

Positions on the road are (s, t): s metres along the centre line, t metres to its left.
Traffic keeps right: lanes with t < 0 run towards +s, lanes with t > 0 towards -s.
From the centre outwards: lanes, bicycle strip, parking strip, kerb, pavement (sidewalk), plots.
"""

from dataclasses import dataclass
from typing import overload

import numpy as np

Values = float | np.ndarray
"""A number or an array of numbers."""

Pose = tuple[float, float, float]
"""Global x, y [m] and yaw [rad]."""

Poses = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Arrays of global x, y [m] and yaw [rad]."""


@dataclass(frozen=True)
class Road:
    """Street in the global frame; widths are in metres.

    Attributes:
        origin: (x, y) of s = t = 0, metres.
        heading: heading at the origin, radians.
        curvature: curvature in 1/m, positive to the left.
        lanes: number of lanes per direction.
        lane_width: width of a lane.
        bike_width: width of the bicycle strip.
        parking_width: width of the parking strip.
        sidewalk_width: width of the pavement.
        crossing: s of a crossing street, or None.
        crossing_half_width: half the width of the crossing street.
    """

    origin: tuple[float, float]
    heading: float
    curvature: float
    lanes: int
    lane_width: float
    bike_width: float
    parking_width: float
    sidewalk_width: float
    crossing: float | None
    crossing_half_width: float = 5.0

    @property
    def bike(self) -> float:
        """``|t|`` of the middle of the bicycle strip."""
        return self.lanes * self.lane_width + 0.5 * self.bike_width

    @property
    def parking(self) -> float:
        """``|t|`` of the middle of the parking strip."""
        return self.lanes * self.lane_width + self.bike_width + 0.5 * self.parking_width

    @property
    def kerb(self) -> float:
        """``|t|`` of the kerb."""
        return self.lanes * self.lane_width + self.bike_width + self.parking_width

    @property
    def plots(self) -> float:
        """``|t|`` of the border between pavement and plots."""
        return self.kerb + self.sidewalk_width

    def lane_centre(self, lane: int, forward: bool) -> float:
        """t of the middle of a lane; lane 0 is next to the centre line."""
        t = (lane + 0.5) * self.lane_width
        return -t if forward else t

    @overload
    def pose(self, s: float, t: float) -> Pose: ...
    @overload
    def pose(self, s: np.ndarray, t: Values) -> Poses: ...
    def pose(self, s: Values, t: Values) -> tuple[Values, Values, Values]:
        """Global x, y and heading of the road's +s direction at (s, t); arrays broadcast."""
        s, t = np.asarray(s, float), np.asarray(t, float)
        turned = self.curvature * s
        if abs(self.curvature) < 1e-9:
            along, across = s, 0.0 * s
        else:
            along = np.sin(turned) / self.curvature
            across = (1.0 - np.cos(turned)) / self.curvature
        along = along - t * np.sin(turned)
        across = across + t * np.cos(turned)
        c, d = np.cos(self.heading), np.sin(self.heading)
        x = self.origin[0] + c * along - d * across
        y = self.origin[1] + d * along + c * across
        return x, y, self.heading + turned + 0.0 * t

    def crossing_pose(self, u: float, v: float) -> tuple[float, float, float]:
        """Global x, y and heading on the crossing street.

        Args:
            u: metres along the crossing street, positive to the left of the main road.
            v: metres to the left of the +u direction.

        Raises:
            ValueError: if the road has no crossing street.
        """
        if self.crossing is None:
            raise ValueError("This road has no crossing street; check road.crossing first.")
        x, y, heading = (float(a) for a in self.pose(self.crossing, 0.0))
        heading += np.pi / 2
        c, d = np.cos(heading), np.sin(heading)
        return x + c * u - d * v, y + d * u + c * v, heading

    def in_crossing(self, s: float, margin: float = 0.0) -> bool:
        """True if s lies within the crossing street's width plus ``margin`` metres."""
        if self.crossing is None:
            return False
        return abs(s - self.crossing) < self.crossing_half_width + margin


def make_road(rng: np.random.Generator, travel: float) -> Road:
    """Random road on which the ego vehicle drives from s = 0 to s = ``travel``."""
    curved = rng.random() < 0.6
    crossing = float(rng.uniform(-10.0, travel + 30.0)) if rng.random() < 0.6 else None
    return Road(
        origin=(float(rng.uniform(300.0, 1500.0)), float(rng.uniform(300.0, 1500.0))),
        heading=float(rng.uniform(-np.pi, np.pi)),
        curvature=float(rng.uniform(-1.0, 1.0) / 110.0) if curved else 0.0,
        lanes=int(rng.choice([1, 2], p=[0.45, 0.55])),
        lane_width=float(rng.uniform(3.3, 3.7)),
        bike_width=float(rng.uniform(1.4, 1.8)),
        parking_width=float(rng.uniform(2.6, 3.0)),
        sidewalk_width=float(rng.uniform(3.4, 4.8)),
        crossing=crossing,
    )

"""Traffic: moving, waiting and parked actors that fill a street.

Every actor is tried at a random position and discarded if its footprint overlaps another one at any
time of the scene. Amounts are per 100 m of street, so that scenes are equally full whether the ego
vehicle drives or waits.
"""

from dataclasses import replace

import numpy as np

from bev.data.nuscenes.writing.tables import CATEGORIES
from bev.lab.synthetic.objects.cycles import make_bicycle, make_motorcycle
from bev.lab.synthetic.objects.machines import make_construction_vehicle
from bev.lab.synthetic.objects.people import make_pedestrian
from bev.lab.synthetic.objects.shape import Shape
from bev.lab.synthetic.objects.street import make_barrier, make_traffic_cone
from bev.lab.synthetic.objects.vehicles import make_bus, make_car, make_trailer, make_truck
from bev.lab.synthetic.scene.actors import Actor, FreeSpace
from bev.lab.synthetic.scene.motion import LineMotion, Motion, RoadMotion
from bev.lab.synthetic.scene.road import Road

_VEHICLES = {
    "car": make_car,
    "truck": make_truck,
    "bus": make_bus,
    "trailer": make_trailer,
    "construction_vehicle": make_construction_vehicle,
}
_MOVING_MIX = {"car": 0.54, "truck": 0.23, "bus": 0.16, "construction_vehicle": 0.07}
_PARKED_MIX = {
    "car": 0.4,
    "truck": 0.14,
    "bus": 0.14,
    "trailer": 0.21,
    "construction_vehicle": 0.11,
}


class Traffic:
    """Actors of one scene.

    Args:
        rng: generator of all random choices.
        road: the street.
        ego: motion of the ego vehicle.
        span: (low, high) s of the street to fill, metres.
        times: seconds at which actors must not overlap.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        road: Road,
        ego: Motion,
        span: tuple[float, float],
        times: np.ndarray,
    ) -> None:
        self.rng = rng
        self.road = road
        self.span = span
        self.hundreds = (span[1] - span[0]) / 100.0
        self.actors: list[Actor] = []
        self.space = FreeSpace(times)
        self.space.occupy(ego, 5.0, 2.1, ahead=1.4)

    def add(self, label: str, shape: Shape, motion: Motion, attribute: str) -> bool:
        """Add an actor if its space is free; returns True if it was."""
        if not self.space.place(motion, shape.size[0], shape.size[1]):
            return False
        category = CATEGORIES[label]
        if label == "pedestrian" and shape.size[2] < 1.5 and "sitting" not in attribute:
            category = "human.pedestrian.child"
        self.actors.append(Actor(label, category, attribute, shape, motion))
        return True

    def pick(self, mix: dict[str, float]) -> str:
        """Random class, drawn by the shares of a mix."""
        shares = np.array(list(mix.values()))
        return str(self.rng.choice(list(mix), p=shares / shares.sum()))

    def count(self, per_hundred: float) -> int:
        """Random number of tries for an amount per 100 m of street."""
        return int(self.rng.poisson(per_hundred * self.hundreds))

    def anywhere(self) -> float:
        """Random s on the street, outside of the crossing."""
        for _ in range(20):
            s = float(self.rng.uniform(*self.span))
            if not self.road.in_crossing(s, 4.0):
                return s
        return float(self.span[0])


def fill_lanes(traffic: Traffic, ego_speed: float, ego_t: float) -> None:
    """Add convoys in every lane, each with one speed (or stopped), and trucks with trailers."""
    rng, road = traffic.rng, traffic.road
    for forward in (True, False):
        for lane in range(road.lanes):
            t = road.lane_centre(lane, forward)
            speed = float(rng.uniform(3.0, 11.0)) if rng.random() < 0.75 else 0.0
            if abs(t - ego_t) < 0.5:
                speed = ego_speed
            s = traffic.span[0] + float(rng.uniform(0.0, 20.0))
            while s < traffic.span[1]:
                label = traffic.pick(_MOVING_MIX)
                shape = _VEHICLES[label](rng)
                s += 0.5 * shape.size[0]
                blocked = speed == 0.0 and road.in_crossing(s, 4.0 + 0.5 * shape.size[0])
                attribute = "vehicle.moving" if speed > 0 else "vehicle.stopped"
                motion = RoadMotion(road, s, t + float(rng.normal(0.0, 0.12)), forward, speed)
                if not blocked:
                    placed = traffic.add(label, shape, motion, attribute)
                    if placed and label == "truck" and rng.random() < 0.5:
                        trailer = make_trailer(rng)
                        back = 0.5 * (shape.size[0] + trailer.size[0]) + 0.5
                        hitch = replace(motion, s=s - back if forward else s + back)
                        traffic.add("trailer", trailer, hitch, attribute)
                gap = rng.uniform(9.0, 50.0) if speed > 0 else rng.uniform(2.5, 34.0)
                s += 0.5 * shape.size[0] + float(gap)


def fill_kerbs(traffic: Traffic) -> None:
    """Add vehicles parked along both kerbs, in blocks with gaps between them."""
    rng, road = traffic.rng, traffic.road
    for forward in (True, False):
        s = traffic.span[0]
        while s < traffic.span[1]:
            if rng.random() < 0.22:
                s += float(rng.uniform(22.0, 60.0))
                continue
            label = traffic.pick(_PARKED_MIX)
            shape = _VEHICLES[label](rng)
            s += 0.5 * shape.size[0]
            if not road.in_crossing(s, 7.0 + 0.5 * shape.size[0]):
                t = (-1.0 if forward else 1.0) * road.parking + float(rng.normal(0.0, 0.1))
                turned = forward if rng.random() < 0.93 else not forward
                traffic.add(label, shape, RoadMotion(road, s, t, turned, 0.0), "vehicle.parked")
            s += 0.5 * shape.size[0] + float(rng.uniform(0.6, 1.6))


def fill_plots(traffic: Traffic, lots: list[tuple[float, float, float]]) -> None:
    """Add vehicles parked across the car parks ``lots`` (s low, s high, side +1 or -1)."""
    rng, road = traffic.rng, traffic.road
    for low, high, side in lots:
        for depth in (3.6, 12.5):
            s = low + 1.6
            while s < high - 1.6:
                if rng.random() < 0.12:
                    s += float(rng.choice([2, 3, 4])) * 3.1
                elif rng.random() < 0.5:
                    label = traffic.pick({"car": 0.8, "truck": 0.1, "construction_vehicle": 0.1})
                    shape = _VEHICLES[label](rng)
                    x, y, yaw = (float(a) for a in road.pose(s, side * (road.plots + depth + 1.0)))
                    yaw += float(np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0.0, 0.04))
                    traffic.add(label, shape, LineMotion(x, y, yaw), "vehicle.parked")
                s += 3.1


def fill_crossing(traffic: Traffic) -> None:
    """Add vehicles on the crossing street: waiting at the stop line, or driving away from it."""
    rng, road = traffic.rng, traffic.road
    if road.crossing is None:
        return
    for arm in (-1.0, 1.0):
        for inbound in (True, False):
            speed = 0.0 if inbound or rng.random() < 0.2 else float(rng.uniform(3.0, 8.0))
            # Right-hand lane of the vehicle's direction of travel.
            v = 1.75 * (arm if inbound else -arm)
            u = road.plots + float(rng.uniform(1.0, 4.0))
            while u < 58.0:
                label = traffic.pick(_MOVING_MIX)
                shape = _VEHICLES[label](rng)
                u += 0.5 * shape.size[0]
                x, y, heading = road.crossing_pose(arm * u, v)
                outward = heading if arm > 0 else heading + np.pi
                yaw = outward + np.pi if inbound else outward
                attribute = "vehicle.moving" if speed > 0 else "vehicle.stopped"
                traffic.add(label, shape, LineMotion(x, y, yaw, speed), attribute)
                u += 0.5 * shape.size[0] + float(rng.uniform(2.0, 13.0))


def fill_cycles(traffic: Traffic) -> None:
    """Add riders on the bicycle strip, and parked cycles at the kerb side of the pavement."""
    rng, road = traffic.rng, traffic.road
    makers = (("motorcycle", make_motorcycle), ("bicycle", make_bicycle))
    for label, maker in makers:
        for _ in range(traffic.count(3.0)):
            forward = bool(rng.random() < 0.5)
            t = (-1.0 if forward else 1.0) * (road.bike + float(rng.normal(0.0, 0.1)))
            speed = float(rng.uniform(2.5, 6.0)) if rng.random() < 0.75 else 0.0
            motion = RoadMotion(road, traffic.anywhere(), t, forward, speed)
            traffic.add(label, maker(rng, True), motion, "cycle.with_rider")
        for _ in range(traffic.count(1.5)):
            side = float(rng.choice([-1.0, 1.0]))
            s, t = traffic.anywhere(), side * (road.kerb + float(rng.uniform(1.9, 2.1)))
            turn = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.6))
            for _ in range(int(rng.integers(1, 5))):
                x, y, yaw = (float(a) for a in road.pose(s, t))
                yaw += turn + float(rng.normal(0.0, 0.08))
                traffic.add(label, maker(rng, False), LineMotion(x, y, yaw), "cycle.without_rider")
                s += float(rng.uniform(1.2, 1.6))


def fill_people(traffic: Traffic) -> None:
    """Add people who walk along the pavements, stand in groups, sit, and use crosswalks."""
    rng, road = traffic.rng, traffic.road
    for _ in range(traffic.count(2.1)):
        side, s = float(rng.choice([-1.0, 1.0])), traffic.anywhere()
        forward, speed = bool(rng.random() < 0.5), float(rng.uniform(0.8, 1.7))
        for _ in range(int(rng.integers(1, 5))):
            t = side * float(rng.uniform(road.kerb + 1.4, road.plots - 0.3))
            motion: Motion = RoadMotion(road, s, t, forward, speed)
            traffic.add("pedestrian", make_pedestrian(rng, "moving"), motion, "pedestrian.moving")
            s += float(rng.uniform(0.4, 1.6))
    for _ in range(traffic.count(2.1)):
        side, s = float(rng.choice([-1.0, 1.0])), traffic.anywhere()
        for _ in range(int(rng.integers(1, 4))):
            posture = "standing" if rng.random() < 0.75 else "sitting"
            t = side * float(rng.uniform(road.kerb + 1.4, road.plots - 0.3))
            x, y, _ = (float(a) for a in road.pose(s + rng.normal(0.0, 1.2), t))
            attribute = "pedestrian.standing"
            if posture == "sitting":
                attribute = "pedestrian.sitting_lying_down"
            shape = make_pedestrian(rng, posture)
            motion = LineMotion(x, y, float(rng.uniform(-np.pi, np.pi)))
            traffic.add("pedestrian", shape, motion, attribute)
    if road.crossing is None:
        return
    for _ in range(6):
        along = road.crossing + float(rng.choice([-1, 1])) * (road.crossing_half_width + 1.5)
        x, y, yaw = (float(a) for a in road.pose(along, rng.uniform(-road.kerb, road.kerb)))
        yaw += float(rng.choice([-1.0, 1.0]) * np.pi / 2)
        motion = LineMotion(x, y, yaw, float(rng.uniform(0.9, 1.6)))
        traffic.add("pedestrian", make_pedestrian(rng, "moving"), motion, "pedestrian.moving")


def fill_work_zones(traffic: Traffic, travel: float) -> None:
    """Add road works near the ego path: a machine fenced by barriers and cones, with workers."""
    rng, road = traffic.rng, traffic.road
    middle = float(rng.uniform(-18.0, 8.0))
    while middle < travel + 28.0:
        side = float(rng.choice([-1.0, 1.0]))
        length = float(rng.uniform(9.0, 16.0))
        if not road.in_crossing(middle, 8.0 + 0.5 * length):
            _work_zone(traffic, middle - 0.5 * length, middle + 0.5 * length, side)
        middle += float(rng.uniform(25.0, 40.0))


def _work_zone(traffic: Traffic, low: float, high: float, side: float) -> None:
    rng, road = traffic.rng, traffic.road
    inner, outer = road.bike + 0.1, road.kerb - 0.35
    first, second = (
        ("barrier", "traffic_cone") if rng.random() < 0.6 else ("traffic_cone", "barrier")
    )
    for label, t, share in ((first, inner, 1.0), (second, outer, 0.55)):
        step = 2.75 if label == "barrier" else float(rng.uniform(3.4, 5.4))
        for s in np.arange(low, high, step):
            if rng.random() < share * (0.68 if label == "barrier" else 0.65):
                _road_marker(traffic, label, float(s), side * t, 0.0)
    for end in (low - 1.8, high + 1.8):
        for t in np.linspace(inner + 0.3, outer - 0.2, 2):
            if rng.random() < 0.5:
                _road_marker(traffic, "traffic_cone", end, side * float(t), 0.0)
    if rng.random() < 0.6:
        shape = make_construction_vehicle(rng)
        s, t = 0.5 * (low + high), side * (road.parking + 0.35)
        motion: Motion = RoadMotion(road, s, t, bool(rng.random() < 0.5), 0.0)
        traffic.add("construction_vehicle", shape, motion, "vehicle.parked")
    for _ in range(int(rng.integers(0, 3))):
        x, y, _ = (float(a) for a in road.pose(rng.uniform(low, high), side * road.parking))
        motion = LineMotion(x, y, float(rng.uniform(-np.pi, np.pi)))
        traffic.add(
            "pedestrian", make_pedestrian(rng, "standing", True), motion, "pedestrian.standing"
        )


def _road_marker(traffic: Traffic, label: str, s: float, t: float, turn: float) -> None:
    """Add a traffic cone, or a barrier whose width runs along the road."""
    rng = traffic.rng
    x, y, yaw = (float(a) for a in traffic.road.pose(s, t + float(rng.normal(0.0, 0.06))))
    if label == "barrier":
        facing = float(np.pi / 2 if t < 0 else -np.pi / 2)
        yaw += facing + float(rng.normal(0.0, 0.06)) + turn
        traffic.add(label, make_barrier(rng), LineMotion(x, y, yaw), "")
    else:
        yaw += float(rng.uniform(-np.pi, np.pi))
        traffic.add(label, make_traffic_cone(rng), LineMotion(x, y, yaw), "")

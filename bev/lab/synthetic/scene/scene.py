"""Scene: the content of a seed's scene before rendering."""

from dataclasses import dataclass

import numpy as np

from bev.lab.synthetic.config import KEY_FRAME_PERIOD, SceneKey, WorldConfig
from bev.lab.synthetic.fisheye import fisheye_rig
from bev.lab.synthetic.objects.street import (
    make_building,
    make_canopy,
    make_hedge,
    make_lamp,
    make_trunk,
)
from bev.lab.synthetic.rendering.weather import Weather, make_weather
from bev.lab.synthetic.rig import CAMERAS, FISHEYES, LIDAR, Rig, firing_time, make_rig
from bev.lab.synthetic.scene.actors import Actor, Prop
from bev.lab.synthetic.scene.motion import LineMotion, RoadMotion
from bev.lab.synthetic.scene.road import Road, make_road
from bev.lab.synthetic.scene.traffic import (
    Traffic,
    fill_crossing,
    fill_cycles,
    fill_kerbs,
    fill_lanes,
    fill_people,
    fill_plots,
    fill_work_zones,
)

REACH = 62.0
"""Metres of street filled ahead of and behind the path of the ego vehicle."""


@dataclass(frozen=True)
class Scene:
    """Content of a scene.

    Attributes:
        key: key of the scene.
        road: street of the scene.
        ego: motion of the ego frame (rear axle).
        rig: calibrated sensors.
        weather: light and exposure.
        actors: annotated objects.
        props: visible objects without annotation.
        lots: car parks (s low, s high, side).
        start_us: timestamp of the first key frame, microseconds.
        firings: timestamps by channel for each key frame, microseconds.
        look_seed: seed of the appearance (texture, clouds, noise).
    """

    key: SceneKey
    road: Road
    ego: RoadMotion
    rig: Rig
    weather: Weather
    actors: list[Actor]
    props: list[Prop]
    lots: list[tuple[float, float, float]]
    start_us: int
    firings: list[dict[str, int]]
    look_seed: int

    @property
    def travel(self) -> float:
        """Distance that the ego vehicle drives from the first to the last key frame, metres."""
        return self.ego.speed * (len(self.firings) - 1) * KEY_FRAME_PERIOD

    def seconds(self, timestamp_us: int) -> float:
        """Scene time of a timestamp: seconds since the first key frame."""
        return (timestamp_us - self.start_us) * 1e-6

    def ego_pose(self, timestamp_us: int) -> np.ndarray:
        """(4, 4) transform global_from_ego at a timestamp."""
        x, y, yaw = (float(a) for a in self.ego.pose(self.seconds(timestamp_us)))
        c, s = np.cos(yaw), np.sin(yaw)
        pose = np.eye(4)
        pose[:2, :2] = [[c, -s], [s, c]]
        pose[:2, 3] = x, y
        return pose


def make_scene(key: SceneKey, config: WorldConfig) -> Scene:
    """Generate the scene of a key; the scene depends on the key and the config alone."""
    rng = np.random.default_rng(key.entropy)
    duration = (config.frames_per_scene - 1) * KEY_FRAME_PERIOD
    speed = float(rng.uniform(2.0, 10.0)) if rng.random() < 0.85 else 0.0
    travel = speed * duration
    road = make_road(rng, travel)
    rig = make_rig(rng, config.image_size[0])
    if config.lens == "fisheye":
        rig = fisheye_rig(rig, key, config.image_size)
    lane = int(rng.integers(road.lanes))
    ego_t = road.lane_centre(lane, True) + float(rng.normal(0.0, 0.15))
    ego = RoadMotion(road, 0.0, ego_t, True, speed)
    span = (-REACH, travel + REACH)
    times = np.linspace(-0.1, duration + 0.1, 2 * config.frames_per_scene + 1)
    traffic = Traffic(rng, road, ego, span, times)
    lots = _car_parks(rng, road, span)
    hedges = _hedges(rng, road, span, traffic)
    fill_work_zones(traffic, travel)
    fill_lanes(traffic, speed, ego_t)
    fill_crossing(traffic)
    fill_kerbs(traffic)
    fill_plots(traffic, lots)
    fill_cycles(traffic)
    fill_people(traffic)
    number = key.index + (500_000 if key.entropy[1] else 0)
    start_us = 1_600_000_000_000_000 + number * 1_000_000_000
    firings = []
    for frame in range(config.frames_per_scene):
        time = start_us + round(frame * KEY_FRAME_PERIOD * 1e6)
        fired = {name: firing_time(name, time, rng) for name in (*CAMERAS, LIDAR)}
        if config.lens == "fisheye":
            fired = {name: fired[FISHEYES.get(name, name)] for name in rig.mounts}
        firings.append(fired)
    return Scene(
        key=key,
        road=road,
        ego=ego,
        rig=rig,
        weather=make_weather(rng),
        actors=traffic.actors,
        props=hedges + _props(rng, road, span, lots, traffic),
        lots=lots,
        start_us=start_us,
        firings=firings,
        look_seed=int(rng.integers(2**31)),
    )


def _car_parks(rng, road: Road, span) -> list[tuple[float, float, float]]:
    lots = []
    for side in (-1.0, 1.0):
        if rng.random() < 0.4:
            length = float(rng.uniform(16.0, 32.0))
            low = float(rng.uniform(span[0] + 20.0, span[1] - 20.0 - length))
            if road.crossing is None or not (low - 14.0 < road.crossing < low + length + 14.0):
                lots.append((low, low + length, side))
    return lots


def _hedges(rng, road: Road, span, traffic: Traffic) -> list[Prop]:
    """Hedges and low walls along the pavements, and on the centre line of some streets."""
    rows = [(side * (road.kerb + 0.65), 0.62, (1.05, 1.5)) for side in (-1.0, 1.0)]
    if rng.random() < 0.4:
        rows.append((0.0, 0.8, (0.9, 1.25)))
    hedges = []
    for t, share, (low, high) in rows:
        tall = float(rng.uniform(low, high))
        s = span[0]
        while s < span[1]:
            length = float(rng.uniform(4.0, 9.0))
            s += 0.5 * length
            clear = not road.in_crossing(s, 0.5 * length + 7.0)
            if clear and rng.random() < share:
                x, y, yaw = (float(a) for a in road.pose(s, t))
                if traffic.space.place(LineMotion(x, y, yaw), length, 0.6):
                    hedges.append(Prop(make_hedge(rng, length, tall), x, y, yaw))
            s += 0.5 * length + float(rng.uniform(0.3, 4.0))
    return hedges


def _props(rng, road: Road, span, lots, traffic: Traffic) -> list[Prop]:
    """Houses along the plots, trees and lamps along the pavements."""
    props = []
    low, high = span[0] - 30.0, span[1] + 30.0
    for side in (-1.0, 1.0):
        s = low
        while s < high:
            length, depth = float(rng.uniform(12.0, 30.0)), float(rng.uniform(8.0, 13.0))
            height, setback = float(rng.uniform(6.5, 20.0)), float(rng.uniform(1.0, 5.0))
            t = side * (road.plots + setback + 0.5 * depth)
            # The plots on the inner side of a bend are shorter than the centre line.
            inner = 1.0 - road.curvature * side * (abs(t) - 0.5 * depth)
            outer = 1.0 - road.curvature * side * (abs(t) + 0.5 * depth)
            along = length / min(inner, outer)
            s += 0.5 * along
            in_lot = any(a - 0.5 * along < s < b + 0.5 * along and side == c for a, b, c in lots)
            if not in_lot and not road.in_crossing(s, 0.5 * along + 8.0) and rng.random() < 0.85:
                x, y, yaw = (float(a) for a in road.pose(s, t))
                props.append(Prop(make_building(rng, length, depth, height), x, y, yaw))
            s += 0.5 * along + float(rng.uniform(0.5, 9.0))
        s = low
        while s < high:
            s += float(rng.uniform(9.0, 22.0))
            t = side * (road.kerb + 0.55)
            x, y, yaw = (float(a) for a in road.pose(s, t))
            if road.in_crossing(s, 9.0) or not _clear(traffic, x, y):
                continue
            if rng.random() < 0.25:
                props.append(Prop(make_lamp(rng), x, y, yaw))
                continue
            trunk = float(rng.uniform(2.6, 3.4))
            props.append(Prop(make_trunk(rng, trunk), x, y, yaw))
            props.append(Prop(make_canopy(rng), x, y, float(rng.uniform(0, 6.28)), z=trunk))
    return props


def _clear(traffic: Traffic, x: float, y: float) -> bool:
    return traffic.space.is_free(LineMotion(x, y, 0.0), 0.5, 0.5)

"""Synthetic nuScenes tables of any size, without sensor data, to measure opening a large data set.

Scenes have the names of trainval, so that the official splits apply; file names are as long as in
nuScenes, but the files do not exist. Boxes are tracks that move straight ahead from random places.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from nuscenes.utils.splits import create_splits_scenes

from bev.data.nuscenes.classes import ATTRIBUTES
from bev.data.nuscenes.sensor_data import CAMERAS

VERSION = "v1.0-trainval"
SCENES = 850
_CHANNELS = (*CAMERAS, "LIDAR_TOP")
_CATEGORIES = (
    ("vehicle.car", "vehicle.moving"),
    ("human.pedestrian.adult", "pedestrian.moving"),
    ("movable_object.barrier", ""),
    ("movable_object.trafficcone", ""),
    ("vehicle.truck", "vehicle.parked"),
    ("vehicle.bicycle", "cycle.without_rider"),
    ("static_object.bicycle_rack", ""),
    ("movable_object.debris", ""),
)
_STEP = 500_000  # microseconds between key frames


def token(*parts: object) -> str:
    """A 32-digit token, a hash of the arguments."""
    return hashlib.md5(repr(parts).encode()).hexdigest()


def write_tables(
    root: Path,
    scenes: int = SCENES,
    frames: int = 40,
    boxes: int = 35,
    sweeps: int = 0,
    seed: int = 0,
    split: str = "",
    longer: int = 0,
) -> Path:
    """Write a data root that contains only the 13 tables of version ``v1.0-trainval``.

    Args:
        root: data root to create.
        scenes: number of scenes, at most 850.
        frames: key frames per scene.
        boxes: boxes per key frame.
        sweeps: sweeps of each sensor between two key frames (5 per camera in nuScenes).
        seed: random seed; the same seed gives the same tables.
        split: official split of the scenes; empty for train, then val.
        longer: number of scenes that have one key frame more.

    Returns:
        The data root.
    """
    folder = root / VERSION
    folder.mkdir(parents=True)
    splits = create_splits_scenes()
    known = splits[split] if split else [*splits["train"], *splits["val"]]
    with ExitStack() as stack:
        files: dict[str, _Rows] = {}

        def add(table: str, row: dict) -> None:
            if table not in files:
                files[table] = stack.enter_context(_Rows(folder / f"{table}.json"))
            files[table].add(row)

        for table, row in _shared_rows():
            add(table, row)
        for number, name in enumerate(known[:scenes]):
            rng, count = np.random.default_rng([seed, number]), frames + (number < longer)
            for table, row in _scene_rows(name, count, sweeps):
                add(table, row)
            for table, row in _track_rows(name, count, boxes, rng):
                add(table, row)
    return root


class _Rows:
    """JSON table that is written row by row."""

    def __init__(self, path: Path) -> None:
        self.path, self.before = path, "[\n"

    def __enter__(self) -> "_Rows":
        self.file = self.path.open("w")
        return self

    def add(self, row: dict) -> None:
        self.file.write(self.before + json.dumps(row))
        self.before = ",\n"

    def __exit__(self, *_: object) -> None:
        self.file.write("\n]")
        self.file.close()


def _shared_rows() -> Iterator[tuple[str, dict]]:
    for category, _ in _CATEGORIES:
        yield "category", {"token": token(category), "name": category, "description": ""}
    for attribute in ATTRIBUTES:
        yield "attribute", {"token": token(attribute), "name": attribute, "description": ""}
    for level in "1234":
        yield "visibility", {"token": level, "level": "", "description": ""}
    for channel in _CHANNELS:
        modality = "lidar" if channel == "LIDAR_TOP" else "camera"
        yield "sensor", {"token": token(channel), "channel": channel, "modality": modality}
    log = {"token": token("log"), "logfile": "", "vehicle": "", "date_captured": "", "location": ""}
    yield "log", log
    yield (
        "map",
        {"token": token("map"), "log_tokens": [log["token"]], "filename": "", "category": ""},
    )


def _scene_rows(name: str, frames: int, sweeps: int) -> Iterator[tuple[str, dict]]:
    samples = [token(name, "sample", i) for i in range(frames)]
    yield (
        "scene",
        {
            "token": token(name),
            "log_token": token("log"),
            "nbr_samples": frames,
            "first_sample_token": samples[0],
            "last_sample_token": samples[-1],
            "name": name,
            "description": "",
        },
    )
    for i, sample in enumerate(samples):
        row = {"token": sample, "timestamp": _time(i), "scene_token": token(name)}
        yield "sample", row | _links(samples, i)
    for number, channel in enumerate(_CHANNELS):
        is_camera = channel != "LIDAR_TOP"
        mounting = token(name, "mounting", channel)
        yield (
            "calibrated_sensor",
            {
                "token": mounting,
                "sensor_token": token(channel),
                "translation": [1.5, 0.1 * number, 1.6],
                "rotation": _turn(number),
                "camera_intrinsic": (
                    [[1266.4, 0.0, 816.3], [0.0, 1266.4, 491.5], [0.0, 0.0, 1.0]]
                    if is_camera
                    else []
                ),
            },
        )
        count = 1 + (frames - 1) * (sweeps + 1)
        records = [token(name, channel, i) for i in range(count)]
        for i, record in enumerate(records):
            frame = i / (sweeps + 1)
            time = _time(frame) + 7_000 * number
            yield (
                "ego_pose",
                {
                    "token": record,
                    "timestamp": time,
                    "rotation": _turn(0.01 * frame),
                    "translation": [400.0 + 4.01234567 * frame, 1100.0 + 0.123456789 * frame, 0.0],
                },
            )
            yield (
                "sample_data",
                {
                    "token": record,
                    "sample_token": samples[round(frame)],
                    "ego_pose_token": record,
                    "calibrated_sensor_token": mounting,
                    "timestamp": time,
                    "fileformat": "jpg" if is_camera else "pcd",
                    "is_key_frame": frame == int(frame),
                    "height": 900 if is_camera else 0,
                    "width": 1600 if is_camera else 0,
                    "filename": (
                        f"samples/{channel}/n015-2018-07-24-{name}+0800__{channel}__{time}.jpg"
                    ),
                }
                | _links(records, i),
            )


def _track_rows(
    name: str, frames: int, boxes: int, rng: np.random.Generator
) -> Iterator[tuple[str, dict]]:
    start = rng.uniform((350, 1050, 0), (550, 1150, 2), (boxes, 3))
    velocity = rng.normal(0, 3, (boxes, 2))
    size = rng.uniform((0.5, 0.5, 0.5), (2.5, 6.0, 3.0), (boxes, 3)).round(3)
    yaw = rng.uniform(-3, 3, boxes)
    points = rng.poisson(3, (boxes, frames))
    kind = rng.integers(len(_CATEGORIES), size=boxes)
    for i in range(boxes):
        category, attribute = _CATEGORIES[kind[i]]
        tokens = [token(name, "box", i, frame) for frame in range(frames)]
        instance = token(name, "track", i)
        yield (
            "instance",
            {
                "token": instance,
                "category_token": token(category),
                "nbr_annotations": frames,
                "first_annotation_token": tokens[0],
                "last_annotation_token": tokens[-1],
            },
        )
        for frame in range(frames):
            x, y = start[i, :2] + velocity[i] * frame / 2
            yield (
                "sample_annotation",
                {
                    "token": tokens[frame],
                    "sample_token": token(name, "sample", frame),
                    "instance_token": instance,
                    "visibility_token": "4",
                    "attribute_tokens": [token(attribute)] if attribute else [],
                    "translation": [round(x, 3), round(y, 3), round(start[i, 2], 3)],
                    "size": size[i].tolist(),
                    "rotation": _turn(yaw[i]),
                    "num_lidar_pts": int(points[i, frame]),
                    "num_radar_pts": 0,
                }
                | _links(tokens, frame),
            )


def _links(tokens: list[str], i: int) -> dict[str, str]:
    return {
        "prev": tokens[i - 1] if i else "",
        "next": tokens[i + 1] if i + 1 < len(tokens) else "",
    }


def _time(frame: float) -> int:
    return 1_532_402_927_647_951 + round(frame * _STEP)


def _turn(yaw: float) -> list[float]:
    """Quaternion (w, x, y, z) of a rotation about z by ``yaw``, radians."""
    return [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))]

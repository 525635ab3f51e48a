"""A minimal data set in the project's format: tables, splits and images.

Four cameras of two sizes with custom names, and no lidar. The ego vehicle drives straight on. In
each of four directions another car keeps 10 m away; its centre is a red spot on the image that
shows it.
"""

import json
import math
from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np
from pyquaternion import Quaternion

VERSION = "v1.0-own"
# Viewing direction in degrees to the left of ahead; width, height; focal length in pixels.
CAMERAS = {
    "CAM_AHEAD": (0, (480, 270), 330.0),
    "CAM_LEFT": (90, (320, 240), 180.0),
    "CAM_BEHIND": (180, (480, 270), 260.0),
    "CAM_RIGHT": (-90, (320, 240), 190.0),
}
SPLITS = {"mine_train": ["scene-a"], "mine_val": ["scene-b"]}
FRAMES = 2  # per scene, half a second apart
_FORWARD = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # ego from camera


def write_own_data(root: Path, lost: Collection[tuple[str, str]] = ()) -> Path:
    """Write the data set; ``lost`` lists (sample, camera) of missing images."""
    rows: dict[str, list[dict]] = {}

    def add(table: str, token: str, **fields: object) -> None:
        rows.setdefault(table, []).append({"token": token, **fields})

    add("category", "car", name="vehicle.car")
    add("attribute", "moving", name="vehicle.moving")
    for name, (direction, (width, height), focal) in CAMERAS.items():
        turn = Quaternion(matrix=_turn(direction) @ _FORWARD)
        add("sensor", name, channel=name, modality="camera")
        add(
            "calibrated_sensor",
            name,
            sensor_token=name,
            translation=[0.5, 0.0, 1.5],
            rotation=turn.elements.tolist(),
            camera_intrinsic=[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]],
        )
    for scene in ("scene-a", "scene-b"):
        add("scene", scene, name=scene)
        for i in range(FRAMES):
            sample = f"{scene}-{i}"
            seconds = 0.5 * i
            links = _links(scene, i)
            add("sample", sample, scene_token=scene, timestamp=_microseconds(seconds), **links)
            for number, (name, (direction, size, _)) in enumerate(CAMERAS.items()):
                track = f"{scene}-{name}"
                if i == 0:
                    add("instance", track, category_token="car")
                place = np.array([10 * _cos(direction), 10 * _sin(direction), 0.8])
                heading, position = _pose(seconds)
                centre = heading @ place + position
                add(
                    "sample_annotation",
                    f"{track}-{i}",
                    sample_token=sample,
                    instance_token=track,
                    attribute_tokens=["moving"],
                    visibility_token="",
                    translation=centre.tolist(),
                    size=[1.9, 4.5, 1.6],
                    rotation=Quaternion(matrix=heading).elements.tolist(),
                    num_lidar_pts=1,
                    num_radar_pts=0,
                    **_links(track, i),
                )
                if (sample, name) in lost:
                    continue
                taken, data_token = seconds + 0.02 * number, f"{sample}-{name}"
                heading, position = _pose(taken)
                file = root / "samples" / name / f"{sample}.jpg"
                _write_image(file, name, heading.T @ (centre - position))
                rotation = Quaternion(matrix=heading).elements.tolist()
                add("ego_pose", data_token, translation=position.tolist(), rotation=rotation)
                add(
                    "sample_data",
                    data_token,
                    sample_token=sample,
                    ego_pose_token=data_token,
                    calibrated_sensor_token=name,
                    timestamp=_microseconds(taken),
                    is_key_frame=True,
                    width=size[0],
                    height=size[1],
                    filename=str(file.relative_to(root)),
                    prev="",
                    next="",
                )
    (root / VERSION).mkdir(parents=True)
    for name, content in {**rows, "splits": SPLITS}.items():
        (root / VERSION / f"{name}.json").write_text(json.dumps(content))
    return root


def _write_image(file: Path, camera: str, in_ego: np.ndarray) -> None:
    """Write a grey image with a red spot at the projection of a point in the ego frame."""
    direction, (width, height), focal = CAMERAS[camera]
    x, y, z = (_turn(direction) @ _FORWARD).T @ (in_ego - [0.5, 0.0, 1.5])
    image = np.full((height, width, 3), 110, np.uint8)
    spot = round(width / 2 + focal * x / z - 0.5), round(height / 2 + focal * y / z - 0.5)
    cv2.circle(image, spot, 9, (0, 0, 255), cv2.FILLED)
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), image)


def _pose(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Heading and position of the ego vehicle in the global frame; 8 m/s straight on."""
    return _turn(30), np.array([300.0, 700.0, 0.0]) + 8.0 * seconds * _turn(30)[:, 0]


def _links(of: str, i: int) -> dict[str, str]:
    return {"prev": f"{of}-{i - 1}" * (i > 0), "next": f"{of}-{i + 1}" * (i + 1 < FRAMES)}


def _turn(degrees: float) -> np.ndarray:
    """Rotation about z, to the left."""
    cos, sin = _cos(degrees), _sin(degrees)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def _sin(degrees: float) -> float:
    return math.sin(math.radians(degrees))


def _microseconds(seconds: float) -> int:
    return 1_700_000_000_000_000 + round(1e6 * seconds)

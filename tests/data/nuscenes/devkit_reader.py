"""Key frames read through the devkit alone, as the reference for the index."""

from pathlib import Path

import numpy as np
import torch
from nuscenes import NuScenes
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.utils.splits import get_scenes_of_split
from pyquaternion import Quaternion

from bev.data.frame import CameraFrame, Frame
from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.data.nuscenes.frame import NuScenesFrame
from bev.geometry import Boxes3D


def devkit_samples(nusc: NuScenes, split: str) -> list[dict]:
    """The ``sample`` rows of a split, sorted by scene name and timestamp."""
    names = {row["token"]: row["name"] for row in nusc.scene}
    scenes = set(get_scenes_of_split(split, nusc))
    samples = [row for row in nusc.sample if names[row["scene_token"]] in scenes]
    return sorted(samples, key=lambda row: (names[row["scene_token"]], row["timestamp"]))


def devkit_frame(nusc: NuScenes, sample: dict, cameras) -> Frame:
    data = sample["data"]
    reference = next(name for name in ("LIDAR_TOP", "CAM_FRONT", *data) if name in data)
    pose = nusc.get("sample_data", data[reference])["ego_pose_token"]
    global_from_ego = _matrix(nusc.get("ego_pose", pose))
    ego_from_global = np.linalg.inv(global_from_ego)

    def ego_from_sensor(row):
        moved = _matrix(nusc.get("ego_pose", row["ego_pose_token"]))
        mounted = _matrix(nusc.get("calibrated_sensor", row["calibrated_sensor_token"]))
        return torch.from_numpy(ego_from_global @ moved @ mounted)

    frames = []
    for name in cameras:
        row = nusc.get("sample_data", data[name])
        sensor = nusc.get("calibrated_sensor", row["calibrated_sensor_token"])
        frames.append(
            CameraFrame(
                name,
                Path(nusc.dataroot) / row["filename"],
                (row["height"], row["width"]),
                torch.tensor(sensor["camera_intrinsic"], dtype=torch.float64),
                ego_from_sensor(row),
            )
        )
    lidar = nusc.get("sample_data", data["LIDAR_TOP"]) if "LIDAR_TOP" in data else None
    pose = torch.from_numpy(ego_from_global)
    boxes, points, instances = _boxes(nusc, sample, pose, category_to_detection_name)
    vehicles, *_ = _boxes(nusc, sample, pose, lambda name: name.split(".")[0] == "vehicle")
    return NuScenesFrame(
        token=sample["token"],
        scene=nusc.get("scene", sample["scene_token"])["name"],
        timestamp=sample["timestamp"],
        cameras=tuple(frames),
        global_from_ego=torch.from_numpy(global_from_ego),
        boxes=boxes,
        num_points=points,
        instances=instances,
        lidar_path=Path(nusc.dataroot) / lidar["filename"] if lidar else None,
        ego_from_lidar=ego_from_sensor(lidar) if lidar else torch.eye(4, dtype=torch.float64),
        vehicles=vehicles,
    )


def _matrix(record: dict) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(record["rotation"]).rotation_matrix
    matrix[:3, 3] = record["translation"]
    return matrix


def _boxes(nusc: NuScenes, sample: dict, ego_from_global: torch.Tensor, counts):
    names = {row["token"]: row["name"] for row in nusc.attribute}
    numbers = {row["token"]: number for number, row in enumerate(nusc.instance)}
    rows = []
    for token in sample["anns"]:
        row = nusc.get("sample_annotation", token)
        if not counts(row["category_name"]):
            continue
        name = category_to_detection_name(row["category_name"])
        x, y, _ = Quaternion(row["rotation"]).rotation_matrix[:, 0]
        width, length, height = row["size"]
        attributes = [names[t] for t in row["attribute_tokens"]]
        rows.append(
            (
                row["translation"],
                (length, width, height),
                np.arctan2(y, x),
                nusc.box_velocity(token)[:2],
                -1 if name is None else CLASSES.index(name),
                ATTRIBUTES.index(attributes[0]) if attributes else -1,
                int(row["visibility_token"] or 0),
                row["num_lidar_pts"] + row["num_radar_pts"],
                numbers[row["instance_token"]],
            )
        )
    if not rows:
        return Boxes3D.empty(), *torch.zeros(2, 0, dtype=torch.long)
    center, size, yaw, velocity, label, attribute, visibility, points, instances = (
        torch.from_numpy(np.array(column)) for column in zip(*rows, strict=True)
    )
    boxes = Boxes3D.make(
        center, size, yaw, velocity, label=label, attribute=attribute, visibility=visibility
    ).transform(ego_from_global)
    single = {name: getattr(boxes, name).float()
              for name in ("center", "size", "yaw", "velocity", "score")}  # fmt: skip
    whole = {name: getattr(boxes, name) for name in ("label", "attribute", "visibility")}
    return Boxes3D(**single, **whole), points, instances

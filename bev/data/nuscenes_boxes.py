"""The border between nuScenes' boxes and ours.

nuScenes gives centre, (width, length, height) and a quaternion in the global frame; inside the
project boxes are ``Boxes3D`` with (length, width, height) and a yaw angle in the ego frame.
"""

import numpy as np
import torch
from jaxtyping import Float
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.nuscenes import NuScenes
from pyquaternion import Quaternion
from torch import Tensor

from bev.data.classes import ATTRIBUTES, CLASSES
from bev.geometry import Boxes3D


def pose_matrix(record: dict) -> np.ndarray:
    """4x4 float64 matrix of a nuScenes ``ego_pose`` or ``calibrated_sensor`` row.

    The row's translation and rotation describe ``global_from_ego`` and ``ego_from_sensor``.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(record["rotation"]).rotation_matrix
    matrix[:3, 3] = record["translation"]
    return matrix


def truth_boxes(
    nusc: NuScenes, sample: dict, ego_from_global: Float[Tensor, "4 4"]
) -> tuple[Boxes3D, Tensor]:
    """The annotated boxes of the ten detection classes of a sample.

    Args:
        nusc: the opened data set.
        sample: a row of the ``sample`` table.
        ego_from_global: float64.

    Returns:
        Boxes in the ego frame (float32, velocity NaN where the data set has none), and for each
        the number of lidar and radar points on it.
    """
    names = {row["token"]: row["name"] for row in nusc.attribute}
    rows = []
    for token in sample["anns"]:
        annotation = nusc.get("sample_annotation", token)
        name = category_to_detection_name(annotation["category_name"])
        if name is None:
            continue
        heading = Quaternion(annotation["rotation"]).rotation_matrix[:, 0]
        width, length, height = annotation["size"]
        attributes = [names[t] for t in annotation["attribute_tokens"]]
        rows.append(
            (
                annotation["translation"],
                (length, width, height),
                np.arctan2(heading[1], heading[0]),
                nusc.box_velocity(token)[:2],
                CLASSES.index(name),
                ATTRIBUTES.index(attributes[0]) if attributes else -1,
                int(annotation["visibility_token"] or 0),
                annotation["num_lidar_pts"] + annotation["num_radar_pts"],
            )
        )
    if not rows:
        return Boxes3D.empty(), torch.zeros(0, dtype=torch.long)
    center, size, yaw, velocity, label, attribute, visibility, points = (
        torch.from_numpy(np.array(column)) for column in zip(*rows, strict=True)
    )
    in_global = Boxes3D.make(
        center, size, yaw, velocity, label=label, attribute=attribute, visibility=visibility
    )
    boxes = in_global.transform(ego_from_global)
    single = {name: getattr(boxes, name).float()
              for name in ("center", "size", "yaw", "velocity", "score")}  # fmt: skip
    return Boxes3D(
        **single, label=boxes.label, attribute=boxes.attribute, visibility=boxes.visibility
    ), points


def to_nuscenes(boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"]) -> list[dict]:
    """Boxes in the ego frame as rows of nuScenes' form in the global frame.

    Each row has ``translation``, ``size`` (width, length, height), ``rotation`` (quaternion w x y
    z) and ``velocity`` (vx, vy; zero where unknown) as plain lists.
    """
    moved = boxes.to("cpu").double().transform(global_from_ego)
    rows = []
    for center, size, yaw, velocity in zip(
        moved.center, moved.size, moved.yaw, moved.velocity, strict=True
    ):
        length, width, height = size.tolist()
        rows.append(
            {
                "translation": center.tolist(),
                "size": [width, length, height],
                "rotation": Quaternion(axis=[0, 0, 1], radians=yaw.item()).elements.tolist(),
                "velocity": torch.nan_to_num(velocity).tolist(),
            }
        )
    return rows

"""Conversion between nuScenes' box format and ``Boxes3D``.

nuScenes boxes have a centre, (width, length, height) and a quaternion in the global frame;
``Boxes3D`` have (length, width, height) and a yaw angle in the ego frame.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pyquaternion import Quaternion
from torch import Tensor

from bev.data.nuscenes.index import Index
from bev.geometry import Boxes3D


def pose_matrix(translation: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Convert a nuScenes translation and rotation (quaternion w, x, y, z) to a 4x4 float64 matrix.

    The result is ``global_from_ego`` for an ``ego_pose`` and ``ego_from_sensor`` for a
    ``calibrated_sensor``. A quaternion that is not of unit length is normalised, as in the devkit.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(rotation).rotation_matrix
    matrix[:3, 3] = translation
    return matrix


class GroundTruth(NamedTuple):
    """Ground-truth boxes of a sample, ego frame.

    Attributes:
        boxes: boxes of the ten detection classes.
        points: (M,) lidar and radar points in each of these boxes.
        instances: (M,) number of the tracked object of each of these boxes.
        vehicles: boxes of every category that begins with "vehicle"; label -1 for categories
            without a detection class.
    """

    boxes: Boxes3D
    points: Int[Tensor, " M"]
    instances: Int[Tensor, " M"]
    vehicles: Boxes3D


def gt_boxes_of(index: Index, sample: int, ego_from_global: Float[Tensor, "4 4"]) -> GroundTruth:
    """Read the ground-truth boxes of a sample (float32; velocity NaN if unknown).

    Args:
        index: opened data set.
        sample: row of the ``sample`` table.
        ego_from_global: (4, 4) float64, inverse of the reference ego pose.
    """
    table, (_, rows) = index.sample_annotation, index.annotations_of([sample])
    category = table.category[rows]
    label, vehicle = index.class_of_category[category], index.is_vehicle[category]
    wanted = (label >= 0) | vehicle
    label, vehicle, rows = label[wanted], vehicle[wanted], rows[wanted]
    if not len(rows):
        none = torch.zeros(0, dtype=torch.long)
        return GroundTruth(Boxes3D.empty(), none, none, Boxes3D.empty())
    headings = [Quaternion(rotation).rotation_matrix[:, 0] for rotation in table.rotation[rows]]
    width, length, height = table.size[rows].T
    in_global = Boxes3D.make(
        torch.from_numpy(table.translation[rows]),
        torch.from_numpy(np.stack([length, width, height], axis=1)),
        torch.from_numpy(np.array([np.arctan2(y, x) for x, y, _ in headings])),
        torch.from_numpy(table.velocity[rows]),
        label=torch.from_numpy(label),
        attribute=torch.from_numpy(index.attribute_numbers[table.attribute[rows]]),
        visibility=torch.from_numpy(table.visibility[rows].astype(np.int64)),
    )
    boxes = in_global.transform(ego_from_global)
    single = {name: getattr(boxes, name).float()
              for name in ("center", "size", "yaw", "velocity", "score")}  # fmt: skip
    boxes = Boxes3D(
        **single, label=boxes.label, attribute=boxes.attribute, visibility=boxes.visibility
    )
    counted = torch.from_numpy(label >= 0)
    return GroundTruth(
        boxes[counted],
        torch.from_numpy(index.num_points(rows))[counted],
        torch.from_numpy(table.instance[rows].astype(np.int64))[counted],
        boxes[torch.from_numpy(vehicle)],
    )


def to_nuscenes(boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"]) -> list[dict]:
    """Convert boxes in the ego frame to nuScenes' format in the global frame.

    Args:
        boxes: boxes, ego frame.
        global_from_ego: (4, 4) float64, the reference ego pose.

    Returns:
        One dictionary per box with ``translation``, ``size`` (width, length, height), ``rotation``
        (quaternion w x y z) and ``velocity`` (vx, vy; zero if unknown) as lists.
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

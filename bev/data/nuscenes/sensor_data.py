"""Single readings of sensors: their file, their calibration and the car's pose at their time.

A reading is a row of ``sample_data``.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bev.data.frame import CameraFrame, Reference
from bev.data.nuscenes.boxes import pose_matrix
from bev.data.nuscenes.index import NO_ROW, Index
from bev.errors import DataError
from bev.geometry import KannalaBrandt, Lens, Pinhole

CAMERAS = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)


def reference_row(index: Index, sample: int) -> int:
    """The reading whose ego pose is a sample's: LIDAR_TOP's, CAM_FRONT's, or the table's first.

    Returns:
        A row of ``sample_data``.
    """
    rows = index.sample.data[sample]
    for name in ("LIDAR_TOP", "CAM_FRONT"):
        channel = index.channels.get(name)
        if channel is not None and rows[channel] != NO_ROW:
            return int(rows[channel])
    return int(rows[rows != NO_ROW].min())


def global_from_reference(index: Index, sample: int, reference: Reference) -> np.ndarray:
    """(4, 4) from the frame that a sample is described in.

    Raises:
        DataError: where that is the lidar's, and the sample has no LIDAR_TOP row.
    """
    row = reference_row(index, sample)
    if reference == "ego":
        return global_from_ego_at(index, row)
    channel = index.channels.get("LIDAR_TOP")
    if channel is None or index.sample.data[sample, channel] == NO_ROW:
        raise DataError(
            f"Sample {index.token_of(sample)} has no LIDAR_TOP row; data.reference lidar needs one."
        )
    return ego_from_sensor(index, row, np.eye(4))


def camera_frames(
    index: Index, names: Sequence[str], readings: Sequence[int], ego_from_global: np.ndarray
) -> tuple[CameraFrame, ...]:
    """Images of readings (rows of ``sample_data``), with poses in one ego frame.

    A camera without a reading is left out.
    """
    data, sensors = index.sample_data, index.calibrated_sensor
    frames = []
    for name, row in zip(names, readings, strict=True):
        if row == NO_ROW:
            continue
        frames.append(
            CameraFrame(
                name=name,
                path=file_of(index, row),
                size=(int(data.height[row]), int(data.width[row])),
                intrinsics=torch.from_numpy(
                    sensors.camera_intrinsic[data.calibrated_sensor[row]].copy()
                ),
                ego_from_camera=torch.from_numpy(ego_from_sensor(index, row, ego_from_global)),
                lens=lens_of(index, row),
            )
        )
    return tuple(frames)


def lens_of(index: Index, row: int) -> Lens:
    """The lens of a reading's camera; its numbers were checked when the index was built."""
    sensors, mounting = index.calibrated_sensor, index.sample_data.calibrated_sensor[row]
    if sensors.camera_model[mounting] == b"pinhole":
        return Pinhole()
    limit = float(sensors.camera_max_angle[mounting])
    numbers = sensors.camera_distortion[mounting].tolist()
    return KannalaBrandt.make(numbers, None if math.isnan(limit) else limit)


def ego_from_sensor(index: Index, row: int, ego_from_global: np.ndarray) -> np.ndarray:
    """From a reading's sensor to an ego frame, by the car's pose at the reading's own time."""
    sensors, mounting = index.calibrated_sensor, index.sample_data.calibrated_sensor[row]
    own_ego_from_sensor = pose_matrix(sensors.translation[mounting], sensors.rotation[mounting])
    return ego_from_global @ global_from_ego_at(index, row) @ own_ego_from_sensor


def global_from_ego_at(index: Index, row: int) -> np.ndarray:
    """(4, 4) the car's pose at a reading's own time."""
    return pose_matrix(index.sample_data.translation[row], index.sample_data.rotation[row])


def file_of(index: Index, row: int) -> Path:
    """Where a reading's file lies."""
    return index.root / index.sample_data.filename[row].decode()

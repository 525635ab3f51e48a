"""Single rows of ``sample_data``: file, calibration, and ego pose at the row's own time."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from bev.data.frame import CameraFrame, Reference
from bev.data.nuscenes.boxes import pose_matrix
from bev.data.nuscenes.index import NO_ROW, Index, reference_row
from bev.errors import DataError
from bev.geometry import KannalaBrandt, Lens, Pinhole
from bev.paths import inside

CAMERAS = (
    "CAM_FRONT_LEFT",
    "CAM_FRONT",
    "CAM_FRONT_RIGHT",
    "CAM_BACK_LEFT",
    "CAM_BACK",
    "CAM_BACK_RIGHT",
)


def cameras_of(index: Index) -> tuple[str, ...]:
    """Names of the cameras of a data set: those of nuScenes, or all if it has none of these."""
    has = [n for n, row in index.channels.items() if index.sensor.modality[row] == b"camera"]
    return tuple(name for name in CAMERAS if name in has) or tuple(has)


def global_from_reference(index: Index, sample: int, reference: Reference) -> np.ndarray:
    """(4, 4) pose of a sample's coordinate frame in the global frame.

    Raises:
        DataError: if the reference is "lidar" and the sample has no LIDAR_TOP row.
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
    index: Index, names: Sequence[str], rows: Sequence[int], ego_from_global: np.ndarray
) -> tuple[CameraFrame, ...]:
    """Images and calibrations of several cameras, with poses in one ego frame.

    Args:
        index: opened data set.
        names: names of the cameras.
        rows: row of ``sample_data`` of each camera; a camera with ``NO_ROW`` is omitted.
        ego_from_global: (4, 4) inverse of the ego pose.
    """
    data, sensors = index.sample_data, index.calibrated_sensor
    frames = []
    for name, row in zip(names, rows, strict=True):
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
    """Lens of the camera of a ``sample_data`` row; it was validated when the index was built."""
    sensors, mounting = index.calibrated_sensor, index.sample_data.calibrated_sensor[row]
    if sensors.camera_model[mounting] == b"pinhole":
        return Pinhole()
    limit = float(sensors.camera_max_angle[mounting])
    numbers = sensors.camera_distortion[mounting].tolist()
    return KannalaBrandt.make(numbers, None if math.isnan(limit) else limit)


def ego_from_sensor(index: Index, row: int, ego_from_global: np.ndarray) -> np.ndarray:
    """(4, 4) from the sensor of a ``sample_data`` row to an ego frame, via the row's ego pose."""
    sensors, mounting = index.calibrated_sensor, index.sample_data.calibrated_sensor[row]
    own_ego_from_sensor = pose_matrix(sensors.translation[mounting], sensors.rotation[mounting])
    return ego_from_global @ global_from_ego_at(index, row) @ own_ego_from_sensor


def global_from_ego_at(index: Index, row: int) -> np.ndarray:
    """(4, 4) ego pose at the time of a ``sample_data`` row."""
    return pose_matrix(index.sample_data.translation[row], index.sample_data.rotation[row])


def file_of(index: Index, row: int) -> Path:
    """File of a ``sample_data`` row.

    Raises:
        DataError: if the name leads outside of the data root, in an index that was not built from
            these tables.
    """
    name = index.sample_data.filename[row].decode()
    try:
        return inside(index.root, name)
    except ValueError as error:
        raise DataError(
            f"The index {index.folder} names the file {name!r}, which {error}; delete the index,"
            " and it is built again."
        ) from error

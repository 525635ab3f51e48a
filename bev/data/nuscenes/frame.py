"""Reading of nuScenes key frames from the index.

A key frame is returned as one ``Frame`` in the sample's reference ego frame. The ego pose at each
camera's own time is used: ``ego_from_camera`` includes the motion of the ego vehicle between the
camera's time and the reference time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from bev.data.adjacent import ALONE, AdjacentConfig
from bev.data.frame import AdjacentFrame, Frame, Reference
from bev.data.nuscenes.adjacent import Moment, adjacent_moments
from bev.data.nuscenes.boxes import gt_boxes_of
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.sensor_data import (
    CAMERAS,
    camera_frames,
    ego_from_sensor,
    file_of,
    global_from_ego_at,
    global_from_reference,
)
from bev.geometry import Boxes3D


@dataclass(frozen=True)
class NuScenesFrame(Frame):
    """One key frame of nuScenes.

    Attributes:
        vehicles: ground-truth boxes of every category that begins with "vehicle", reference ego
            frame, with any number of points.
    """

    vehicles: Boxes3D = field(default_factory=Boxes3D.empty)


def read_frame(
    index: Index,
    sample: int,
    cameras: Sequence[str] = CAMERAS,
    adjacent: AdjacentConfig = ALONE,
    reference: Reference = "ego",
    rate: float = 1.0,
) -> NuScenesFrame:
    """Read one key frame with the available ones of the cameras.

    Args:
        index: opened data set.
        sample: row of the ``sample`` table.
        cameras: names of the cameras; cameras without an image are omitted.
        adjacent: settings of the adjacent frames.
        reference: coordinate frame of the sample, the ego vehicle's or the lidar's.
        rate: playback rate. Velocities of ``boxes`` are multiplied by it, and times of adjacent
            frames are divided by it, see ``bev.data.adjacent``.
    """
    global_from_ego = global_from_reference(index, sample, reference)
    ego_from_global = np.linalg.inv(global_from_ego)
    row_of = dict(zip(index.channels, index.sample.data[sample].tolist(), strict=True))
    cameras = [name for name in cameras if row_of[name] != NO_ROW]
    channels = [index.channels[name] for name in cameras]
    rows = [row_of[name] for name in cameras]
    lidar_row = row_of.get("LIDAR_TOP", NO_ROW)
    has_lidar = lidar_row != NO_ROW
    gt_boxes = gt_boxes_of(index, sample, torch.from_numpy(ego_from_global))
    return NuScenesFrame(
        token=index.token_of(sample),
        scene=index.scene.name[index.sample.scene[sample]].decode(),
        timestamp=int(index.sample.timestamp[sample]),
        cameras=camera_frames(index, cameras, rows, ego_from_global),
        global_from_ego=torch.from_numpy(global_from_ego),
        boxes=replace(gt_boxes.boxes, velocity=gt_boxes.boxes.velocity * rate),
        num_points=gt_boxes.points,
        instances=gt_boxes.instances,
        lidar_path=file_of(index, lidar_row) if has_lidar else None,
        ego_from_lidar=torch.from_numpy(
            ego_from_sensor(index, lidar_row, ego_from_global) if has_lidar else np.eye(4)
        ),
        adjacent=tuple(
            _adjacent_frame(index, cameras, moment, ego_from_global)
            for moment in adjacent_moments(index, sample, channels, adjacent, rate)
        ),
        vehicles=gt_boxes.vehicles,
    )


def read_sweeps(
    index: Index, sample: int, cameras: Sequence[str] = CAMERAS, reference: Reference = "ego"
) -> list[AdjacentFrame]:
    """Read the images between a key frame and the next one of its scene.

    Each camera follows its own chain of images; there are as many moments as the first camera has
    images before its next key frame.

    Args:
        index: opened data set.
        sample: row of the ``sample`` table.
        cameras: names of the cameras; cameras without an image are omitted.
        reference: coordinate frame of the sample, the ego vehicle's or the lidar's.
    """
    own = index.sample.data[sample]
    cameras = [name for name in cameras if own[index.channels[name]] != NO_ROW]
    channels = [index.channels[name] for name in cameras]
    data, count = index.sample_data, -1
    row = own[channels[0]] if channels else NO_ROW
    while row != NO_ROW and (count < 0 or not data.is_key_frame[row]):
        row, count = data.next[row], count + 1
    if count < 1 or row == NO_ROW:  # sweeps after the last key frame have no ground truth
        return []
    ego_from_global = np.linalg.inv(global_from_reference(index, sample, reference))
    following = AdjacentConfig(following=count, unit="sweeps")
    moments = adjacent_moments(index, sample, channels, following)
    return [_adjacent_frame(index, cameras, moment, ego_from_global) for moment in moments]


def _adjacent_frame(
    index: Index, cameras: Sequence[str], moment: Moment, ego_from_global: np.ndarray
) -> AdjacentFrame:
    global_from_adjacent = global_from_ego_at(index, moment.reference)
    adjacent_from_global = np.linalg.inv(global_from_adjacent)
    return AdjacentFrame(
        name=moment.name,
        cameras=camera_frames(index, cameras, moment.rows, adjacent_from_global),
        seconds=moment.seconds,
        ego_from_adjacent=torch.from_numpy(ego_from_global @ global_from_adjacent),
    )

"""nuScenes key frames, read from the index.

The idea: everything the rest of the project wants to know of a key frame stands in one ``Frame``,
in the sample's reference ego frame. Each camera keeps its own ego pose: ``ego_from_camera`` carries
the motion of the car between the camera's time and the reference time.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from bev.data.frame import AdjacentFrame, Frame, Reference
from bev.data.nuscenes.adjacent import ALONE, AdjacentConfig, Moment, adjacent_moments
from bev.data.nuscenes.boxes import truth_boxes
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.sensor_data import (
    camera_frames,
    ego_from_sensor,
    file_of,
    global_from_ego_at,
    global_from_reference,
)
from bev.data.nuscenes.source import CAMERAS
from bev.data.nuscenes.splits import split_rows
from bev.errors import DataError


class Frames(Sequence[Frame]):
    """Key frames of an index, each made when it is asked for: the list itself takes no memory.

    Args:
        index: the opened data set.
        rows: samples, in the order to serve them.
        cameras: which images, in which order.
        adjacent: which frames come with each.
        missing: "error" refuses samples that lack one of the cameras; "skip" serves these with the
            others.
        reference: whose frame stands for the ego frame: the car's, or the LIDAR_TOP sensor's own.

    A slice is of the same kind. Pickled, it is the rows and the index's place.

    Raises:
        DataError: for a camera that a sample lacks (with "skip": that the data set lacks), for a
            sample that lacks all, and for one without any camera or lidar; with the lidar for
            reference, for a sample without a LIDAR_TOP row.
    """

    def __init__(
        self,
        index: Index,
        rows: np.ndarray,
        cameras: Sequence[str] = CAMERAS,
        adjacent: AdjacentConfig = ALONE,
        missing: Literal["error", "skip"] = "error",
        reference: Reference = "ego",
    ) -> None:
        self.index, self.rows, self.cameras = index, rows, tuple(cameras)
        self.adjacent, self.missing, self.reference = adjacent, missing, reference
        data = index.sample.data
        for name in self.cameras:
            channel = index.channels.get(name)
            lacks = rows if channel is None else rows[data[rows, channel] == NO_ROW]
            if len(lacks) and (channel is None or missing == "error"):
                first = int(lacks[0])
                found = sorted(n for n, c in index.channels.items() if data[first, c] != NO_ROW)
                raise DataError(
                    f"Sample {index.token_of(first)} has no camera {name}; it has"
                    f" {', '.join(found) or 'none'}."
                )
        channels = [index.channels[name] for name in self.cameras]
        blind = rows[(data[rows][:, channels] == NO_ROW).all(axis=1)] if channels else ()
        if len(blind):
            raise DataError(
                f"Sample {index.token_of(int(blind[0]))} has none of the cameras"
                f" {', '.join(self.cameras)}; name one that it has in data.cameras."
            )
        bare = rows[(data[rows] == NO_ROW).all(axis=1)]
        if len(bare):
            raise DataError(f"Sample {index.token_of(int(bare[0]))} has no sensor data at all.")

    @property
    def scenes(self) -> list[str]:
        """Names of the scenes that it serves frames of."""
        rows = np.unique(self.index.sample.scene[self.rows])
        return [name.decode() for name in self.index.scene.name[rows]]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, item: int | slice) -> "Frame | Frames":
        if isinstance(item, slice):
            options = (self.cameras, self.adjacent, self.missing, self.reference)
            return Frames(self.index, self.rows[item], *options)
        row = int(self.rows[item])
        return read_frame(self.index, row, self.cameras, self.adjacent, self.reference)

    def played(self, item: int, rate: float) -> Frame:
        """A key frame as it would be if its scene were played so many times as fast.

        Where :attr:`Frame.shows_other_times` is false, nothing shows the rate.
        """
        row = int(self.rows[item])
        return read_frame(self.index, row, self.cameras, self.adjacent, self.reference, rate)


def read_frames(
    index: Index,
    split: str,
    cameras: Sequence[str] = CAMERAS,
    adjacent: AdjacentConfig = ALONE,
    missing: Literal["error", "skip"] = "error",
    reference: Reference = "ego",
) -> Frames:
    """Every key frame of a split, ordered by scene and time; see :class:`Frames`.

    Raises:
        DataError: for an unknown split or a camera that a sample lacks.
    """
    return Frames(index, split_rows(index, split), cameras, adjacent, missing, reference)


def read_frame(
    index: Index,
    sample: int,
    cameras: Sequence[str] = CAMERAS,
    adjacent: AdjacentConfig = ALONE,
    reference: Reference = "ego",
    rate: float = 1.0,
) -> Frame:
    """One key frame, of a sample's row, with those of the cameras that it has.

    At another rate the velocities of its ``boxes`` are so many times those of the truth, and the
    times of its adjacent frames are told accordingly, see ``bev.data.nuscenes.adjacent``.
    """
    global_from_ego = global_from_reference(index, sample, reference)
    ego_from_global = np.linalg.inv(global_from_ego)
    row_of = dict(zip(index.channels, index.sample.data[sample].tolist(), strict=True))
    cameras = [name for name in cameras if row_of[name] != NO_ROW]
    channels = [index.channels[name] for name in cameras]
    readings = [row_of[name] for name in cameras]
    lidar_row = row_of.get("LIDAR_TOP", NO_ROW)
    has_lidar = lidar_row != NO_ROW
    truth = truth_boxes(index, sample, torch.from_numpy(ego_from_global))
    return Frame(
        token=index.token_of(sample),
        scene=index.scene.name[index.sample.scene[sample]].decode(),
        timestamp=int(index.sample.timestamp[sample]),
        cameras=camera_frames(index, cameras, readings, ego_from_global),
        global_from_ego=torch.from_numpy(global_from_ego),
        boxes=replace(truth.boxes, velocity=truth.boxes.velocity * rate),
        points_on_box=truth.points,
        lidar_path=file_of(index, lidar_row) if has_lidar else None,
        ego_from_lidar=torch.from_numpy(
            ego_from_sensor(index, lidar_row, ego_from_global) if has_lidar else np.eye(4)
        ),
        adjacent=tuple(
            _adjacent_frame(index, cameras, moment, ego_from_global)
            for moment in adjacent_moments(index, sample, channels, adjacent, rate)
        ),
        vehicles=truth.vehicles,
    )


def _adjacent_frame(
    index: Index, cameras: Sequence[str], moment: Moment, ego_from_global: np.ndarray
) -> AdjacentFrame:
    global_from_adjacent = global_from_ego_at(index, moment.reference)
    adjacent_from_global = np.linalg.inv(global_from_adjacent)
    return AdjacentFrame(
        name=moment.name,
        cameras=camera_frames(index, cameras, moment.readings, adjacent_from_global),
        seconds=moment.seconds,
        ego_from_adjacent=torch.from_numpy(ego_from_global @ global_from_adjacent),
    )

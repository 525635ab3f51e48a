"""Sequence of nuScenes key frames that are read from the index on access."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from bev.data.adjacent import ALONE, AdjacentConfig
from bev.data.checks.annotations import tally_of
from bev.data.checks.findings import Findings
from bev.data.checks.index_facts import doubts_of
from bev.data.checks.tally import Tally
from bev.data.frame import AdjacentFrame, Frame, Reference
from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.frame import read_frame, read_sweeps
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.data.nuscenes.splits import split_rows
from bev.data.source import Frames
from bev.errors import DataError


class IndexFrames(Frames):
    """Key frames of an index. Only row numbers are stored and pickled, frames are read on access.

    Args:
        tables: opened data set.
        rows: rows of ``sample``, in the order of the sequence.
        cameras: names of the cameras, in order.
        adjacent: settings of the adjacent frames.
        missing: handling of samples that lack a camera: "error" rejects the data, "skip" uses the
            remaining cameras of the sample.
        reference: coordinate frame of the samples: the ego vehicle's or that of LIDAR_TOP.

    Raises:
        DataError: if a sample lacks a camera (with "skip": if the data set lacks it or a sample
            lacks all), or has neither camera nor lidar data; on access with reference "lidar", if
            a sample has no LIDAR_TOP row.
    """

    def __init__(
        self,
        tables: Index,
        rows: np.ndarray,
        cameras: Sequence[str] = CAMERAS,
        adjacent: AdjacentConfig = ALONE,
        missing: Literal["error", "skip"] = "error",
        reference: Reference = "ego",
    ) -> None:
        self.tables, self.rows, self.cameras = tables, rows, tuple(cameras)
        self.adjacent, self.missing, self.reference = adjacent, missing, reference
        data = tables.sample.data
        for name in self.cameras:
            channel = tables.channels.get(name)
            lacks = rows if channel is None else rows[data[rows, channel] == NO_ROW]
            if len(lacks) and (channel is None or missing == "error"):
                first = int(lacks[0])
                is_camera = tables.sensor.modality == b"camera"
                present = sorted(
                    name
                    for name, row in tables.channels.items()
                    if is_camera[row] and data[first, row] != NO_ROW
                )
                raise DataError(
                    f"Sample {tables.token_of(first)} has no camera {name} (data.cameras); it"
                    f" has {', '.join(present) or 'none'}."
                )
        channels = [tables.channels[name] for name in self.cameras]
        blind = rows[(data[rows][:, channels] == NO_ROW).all(axis=1)] if channels else rows[:0]
        if len(blind):
            raise DataError(
                f"Sample {tables.token_of(int(blind[0]))} has none of the cameras"
                f" {', '.join(self.cameras)}; add one of its cameras to data.cameras."
            )
        bare = rows[(data[rows] == NO_ROW).all(axis=1)]
        if len(bare):
            raise DataError(f"Sample {tables.token_of(int(bare[0]))} has no sensor data at all.")

    labels = NUSCENES

    @property
    def scene(self) -> Int[np.ndarray, " n"]:
        return self.tables.sample.scene[self.rows]

    @property
    def scene_names(self) -> np.ndarray:
        return np.char.decode(self.tables.scene.name, "utf-8")

    @property
    def tokens(self) -> list[str]:
        return [token.decode() for token in self.tables.sample.token[self.rows]]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Int[np.ndarray, " m"]) -> "IndexFrames":
        options = (self.cameras, self.adjacent, self.missing, self.reference)
        return IndexFrames(self.tables, self.rows[rows], *options)

    def classes_held(self, min_points: int) -> Bool[np.ndarray, "n 10"]:
        place, rows = self.tables.annotations_of(self.rows)
        label = self.tables.class_of_category[self.tables.sample_annotation.category[rows]]
        counts = (label >= 0) & (self.tables.num_points(rows) >= min_points)
        held = np.zeros((len(self), len(NUSCENES.classes)), bool)
        held[place[counts], label[counts]] = True
        return held

    def tally(self, min_points: int) -> Tally:
        return tally_of(self.tables, self.rows, min_points)

    @property
    def annotated(self) -> bool:
        _, boxes = self.tables.annotations_of(self.rows)
        return bool(len(boxes) or self.tables.sample.invalid_boxes[self.rows].any())

    def doubts(self) -> Findings:
        return doubts_of(self.tables, self.rows, self.cameras)

    def sweeps(self, item: int) -> Sequence[AdjacentFrame]:
        row = int(self.rows[item])
        return read_sweeps(self.tables, row, self.cameras, self.reference)

    def played(self, item: int, rate: float) -> Frame:
        row = int(self.rows[item])
        return read_frame(self.tables, row, self.cameras, self.adjacent, self.reference, rate)


def read_frames(
    index: Index,
    split: str,
    cameras: Sequence[str] = CAMERAS,
    adjacent: AdjacentConfig = ALONE,
    missing: Literal["error", "skip"] = "error",
    reference: Reference = "ego",
) -> IndexFrames:
    """Read the key frames of a split, ordered by scene and time; see :class:`IndexFrames`.

    Raises:
        DataError: if the split is unknown or a sample lacks a camera.
    """
    return IndexFrames(index, split_rows(index, split), cameras, adjacent, missing, reference)

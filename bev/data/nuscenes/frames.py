"""nuScenes key frames of an index, each made when it is asked for."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from bev.data.adjacent import ALONE, AdjacentConfig
from bev.data.frame import Frame, Reference
from bev.data.nuscenes.boxes import detection_labels
from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.frame import read_frame
from bev.data.nuscenes.index import NO_ROW, Index
from bev.data.nuscenes.sensor_data import CAMERAS
from bev.data.nuscenes.splits import split_rows
from bev.data.source import Frames
from bev.errors import DataError


class IndexFrames(Frames):
    """Key frames of an index: the list itself takes no memory.

    Args:
        index: the opened data set.
        rows: samples, in the order to serve them.
        cameras: which images, in which order.
        adjacent: which frames come with each.
        missing: "error" refuses samples that lack one of the cameras; "skip" serves these with the
            others.
        reference: whose frame stands for the ego frame: the car's, or the LIDAR_TOP sensor's own.

    Pickled, it is the rows and the index's place.

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
                cameras = index.sensor.modality == b"camera"
                found = sorted(
                    n for n, c in index.channels.items() if cameras[c] and data[first, c] != NO_ROW
                )
                raise DataError(
                    f"Sample {index.token_of(first)} has no camera {name} (data.cameras); it"
                    f" has {', '.join(found) or 'none'}."
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

    labels = NUSCENES

    @property
    def scene(self) -> Int[np.ndarray, " n"]:
        return self.index.sample.scene[self.rows]

    @property
    def scene_names(self) -> np.ndarray:
        return np.char.decode(self.index.scene.name, "utf-8")

    @property
    def tokens(self) -> list[str]:
        return [token.decode() for token in self.index.sample.token[self.rows]]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Int[np.ndarray, " m"]) -> "IndexFrames":
        options = (self.cameras, self.adjacent, self.missing, self.reference)
        return IndexFrames(self.index, self.rows[rows], *options)

    def classes_held(self, min_points: int) -> Bool[np.ndarray, "n 10"]:
        table, sample = self.index.sample_annotation, self.index.sample
        label = detection_labels(self.index)[table.category]
        points = table.num_lidar_pts.astype(np.int64) + table.num_radar_pts
        counts = np.flatnonzero((label >= 0) & (points >= min_points))
        samples = len(sample.timestamp)
        sample_of = np.repeat(np.arange(samples), np.diff(sample.annotations))
        held = np.zeros((samples, len(NUSCENES.classes)), bool)
        held[sample_of[counts], label[counts]] = True
        return held[self.rows]

    def played(self, item: int, rate: float) -> Frame:
        row = int(self.rows[item])
        return read_frame(self.index, row, self.cameras, self.adjacent, self.reference, rate)


def read_frames(
    index: Index,
    split: str,
    cameras: Sequence[str] = CAMERAS,
    adjacent: AdjacentConfig = ALONE,
    missing: Literal["error", "skip"] = "error",
    reference: Reference = "ego",
) -> IndexFrames:
    """Every key frame of a split, ordered by scene and time; see :class:`IndexFrames`.

    Raises:
        DataError: for an unknown split or a camera that a sample lacks.
    """
    return IndexFrames(index, split_rows(index, split), cameras, adjacent, missing, reference)

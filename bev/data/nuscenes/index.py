"""The index: what the project needs of a data set's tables, as memory-mapped columns.

The idea: nuScenes' tables as they are, minus what nobody reads, with every token resolved to a row
number once and for all. Columns are plain ``.npy`` files in one folder, mapped and not loaded:
opening takes milliseconds whatever the size, and all workers and ranks of a machine share the same
pages. Radar readings are left out; a box's number of radar points is kept.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bev.errors import DataError

NO_ROW = -1  # where a row has no such neighbour, attribute or reading

# The parts and their columns, one entry a row if no shape is told. Text is bytes, rotations are
# quaternions w, x, y, z, lengths are metres, and a column named as a part holds rows of it.
PARTS: dict[str, dict[str, str]] = {
    "scene": {"name": "text"},
    "sample": {  # key frames, in the table's order
        "token": "text", "timestamp": "microseconds", "scene": "row",
        "by_token": "the rows in the order of their tokens",
        "prev": "row of the key frame before, or NO_ROW", "next": "and of that after",
        "annotations": "(S + 1,) sample s has annotations [s]:[s + 1]",
        "data": "(S, channels) row in sample_data of each channel's key frame, or NO_ROW",
    },
    "sample_data": {  # images and lidar sweeps, also between key frames, in the table's order
        "sample": "row of the key frame that it belongs to (for a sweep, the nearest)",
        "channel": "row in sensor", "calibrated_sensor": "row",
        "timestamp": "microseconds", "is_key_frame": "bool",
        "height": "pixels, 0 for lidar", "width": "pixels, 0 for lidar",
        "filename": "text, below the data root",
        "prev": "row of the sensor's reading before, or NO_ROW", "next": "and of that after",
        "translation": "(D, 3) of global_from_ego at its own time", "rotation": "(D, 4) of it",
    },
    "calibrated_sensor": {  # mounting and lens of each sensor of each car
        "translation": "(K, 3) of ego_from_sensor", "rotation": "(K, 4) of it",
        "camera_intrinsic": "(K, 3, 3) pixels from the lens's plane; zero for lidar",
        "camera_model": "text, pinhole or fisheye",
        "camera_distortion": "(K, 4) k1 to k4 of a fisheye",
        "camera_max_angle": "half a fisheye's field of view, radians; NaN where not given",
    },
    # Boxes in the global frame, by sample, then in the table's order; without those that
    # bev.data.nuscenes.values.no_box marks.
    "sample_annotation": {
        "instance": "number of the tracked object", "category": "row",
        "attribute": "row of the first one, or NO_ROW", "attribute_count": "how many there are",
        "visibility": "level 1 (0-40 %) to 4 (80-100 %), 0 where unknown",
        "num_lidar_pts": "points on the box", "num_radar_pts": "points on the box",
        "translation": "(A, 3) centre", "size": "(A, 3) width, length, height",
        "rotation": "(A, 4)",
        "velocity": "(A, 2) vx, vy, metres per second, by the rule of the devkit's box_velocity;"
        " NaN where the track has no box beside this one or it is too far in time",
    },
    "category": {"name": "text"},
    "attribute": {"name": "text"},
    "sensor": {"channel": "text", "modality": "text"},  # cameras and lidars, each channel once
}  # fmt: skip


class Index:
    """An opened index; see ``bev.data.nuscenes.index_cache.open_index``.

    Each of ``PARTS`` is an attribute, and its columns are arrays: ``index.sample.timestamp``.
    Pickled, it is its folder's name: a worker that is not forked maps the same files again.

    Attributes:
        folder: where its columns lie.
        root: folder of the data set; file names are below it.
        version: nuScenes version.

    Raises:
        DataError: where the folder lacks a column or one is damaged.
    """

    def __init__(self, folder: Path, root: Path, version: str) -> None:
        self.folder, self.root, self.version = folder, root, version
        try:
            for part, columns in PARTS.items():
                arrays = {name: _map(column_file(folder, part, name)) for name in columns}
                setattr(self, part, SimpleNamespace(**arrays))
        except (OSError, ValueError) as error:
            raise DataError(
                f"The index {folder} is damaged ({error}); delete it, it is made again."
            ) from error

    def __reduce__(self) -> tuple:
        return Index, (self.folder, self.root, self.version)

    @cached_property
    def channels(self) -> dict[str, int]:
        """Row in ``sensor`` of each channel."""
        return {name.decode(): row for row, name in enumerate(self.sensor.channel)}

    def token_of(self, sample: int) -> str:
        """The token of a sample's row."""
        return self.sample.token[sample].decode()

    def rows_of(self, tokens: Sequence[str]) -> np.ndarray:
        """(len(tokens),) rows of samples.

        Raises:
            DataError: for a token that is no sample's; names it.
        """
        wanted = np.array([token.encode() for token in tokens], dtype="S")
        rows = find(self.sample.token, self.sample.by_token, wanted)
        if (rows == NO_ROW).any():
            missing = tokens[int(np.argmax(rows == NO_ROW))]
            raise DataError(f"{self.root / self.version} has no sample {missing!r}.")
        return rows


def column_file(folder: Path, part: str, column: str) -> Path:
    """The file of one column."""
    return folder / f"{part}.{column}.npy"


def find(tokens: np.ndarray, by_token: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Row of each wanted token, ``NO_ROW`` where there is none.

    Args:
        tokens: (n,) bytes, in any order.
        by_token: (n,) the rows in the order of their tokens.
        wanted: (m,) bytes.
    """
    if not len(tokens):
        return np.full(len(wanted), NO_ROW)
    place = np.searchsorted(tokens, wanted, sorter=by_token).clip(max=len(tokens) - 1)
    rows = by_token[place]
    return np.where(tokens[rows] == wanted, rows, NO_ROW)


def _map(path: Path) -> np.ndarray:
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped.view(np.ndarray)  # np.memmap itself is slow to slice

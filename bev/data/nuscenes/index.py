"""The index: the tables of a data set as memory-mapped columns.

The index contains the fields of nuScenes' tables that the project uses, with every token replaced
by a row number. Columns are ``.npy`` files in one folder that are memory-mapped: opening an index
takes milliseconds regardless of its size, and all workers and ranks of a machine share the same
memory pages. Radar rows of ``sample_data`` are omitted; the number of radar points in each box is
kept.
"""

import stat
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from jaxtyping import Bool, Int

from bev.data.nuscenes.classes import ATTRIBUTES, CLASS_OF_CATEGORY, CLASSES, VEHICLE
from bev.errors import DataError

NO_ROW = -1  # marks a missing neighbour, attribute or sample_data record

# The parts and their columns, with one entry per row if no shape is given. Text is bytes, rotations
# are quaternions w, x, y, z, lengths are metres, and a column named like a part contains row
# numbers of that part.
PARTS: dict[str, dict[str, str]] = {
    "scene": {"name": "text"},
    "sample": {  # key frames, in the table's order
        "token": "text", "timestamp": "microseconds", "scene": "row",
        "by_token": "the rows in the order of their tokens",
        "prev": "row of the previous key frame, or NO_ROW", "next": "row of the next key frame",
        "annotations": "(S + 1,) sample s has annotations [s]:[s + 1]",
        "invalid_boxes": "number of boxes that are left out (bev.data.nuscenes.values.no_box)",
        "data": "(S, channels) row in sample_data of each channel's key frame, or NO_ROW",
    },
    "sample_data": {  # images and lidar sweeps, also between key frames, in the table's order
        "sample": "row of the key frame that it belongs to (for a sweep, the nearest)",
        "channel": "row in sensor", "calibrated_sensor": "row",
        "timestamp": "microseconds", "is_key_frame": "bool",
        "height": "pixels, 0 for lidar", "width": "pixels, 0 for lidar",
        "filename": "text, below the data root",
        "prev": "row of the same sensor's previous record, or NO_ROW", "next": "of the next record",
        "translation": "(D, 3) of global_from_ego at its own time", "rotation": "(D, 4) of it",
    },
    "calibrated_sensor": {  # mounting and lens of each sensor of each vehicle
        "translation": "(K, 3) of ego_from_sensor", "rotation": "(K, 4) of it",
        "camera_intrinsic": "(K, 3, 3) maps the lens's plane to pixels; zero for lidar",
        "camera_model": "text, pinhole or fisheye",
        "camera_distortion": "(K, 4) k1 to k4 of a fisheye",
        "camera_max_angle": "half a fisheye's field of view, radians; NaN if not given",
    },
    # Boxes in the global frame, sorted by sample, then in the table's order, without invalid boxes
    # (bev.data.nuscenes.values.no_box).
    "sample_annotation": {
        "instance": "number of the tracked object", "category": "row",
        "attribute": "row of the first one, or NO_ROW",
        "attribute_count": "number of attributes, at most 255",
        "visibility": "level 1 (0-40 %) to 4 (80-100 %), 0 if unknown",
        "num_lidar_pts": "points in the box", "num_radar_pts": "points in the box",
        "translation": "(A, 3) centre", "size": "(A, 3) width, length, height",
        "rotation": "(A, 4)",
        "velocity": "(A, 2) vx, vy, metres per second, by the rule of the devkit's box_velocity;"
        " NaN if the track has no neighbouring box or it is too far away in time",
    },
    "category": {"name": "text"},
    "attribute": {"name": "text"},
    "sensor": {"channel": "text", "modality": "text"},  # cameras and lidars, each channel once
}  # fmt: skip


class Index:
    """An opened index; see ``bev.data.nuscenes.index_cache.open_index``.

    Each of ``PARTS`` is an attribute whose columns are arrays, e.g. ``index.sample.timestamp``.
    Pickling stores only the folder's name: a worker that is not forked maps the same files again.

    Attributes:
        folder: folder of the columns.
        root: folder of the data set; file names are relative to it.
        version: nuScenes version.

    Raises:
        DataError: if a column is missing or damaged.
    """

    scene: SimpleNamespace
    sample: SimpleNamespace
    sample_data: SimpleNamespace
    calibrated_sensor: SimpleNamespace
    sample_annotation: SimpleNamespace
    category: SimpleNamespace
    attribute: SimpleNamespace
    sensor: SimpleNamespace

    def __init__(self, folder: Path, root: Path, version: str) -> None:
        self.folder, self.root, self.version = folder, root, version
        try:
            for part, columns in PARTS.items():
                arrays = {name: _map(column_file(folder, part, name)) for name in columns}
                setattr(self, part, SimpleNamespace(**arrays))
        except (OSError, ValueError) as error:
            raise DataError(
                f"The index {folder} is damaged ({error}); delete it, and it is built again."
            ) from error

    @classmethod
    def in_memory(cls, columns: Mapping[str, Mapping[str, np.ndarray]], folder: Path) -> "Index":
        """Create from the joined columns of a version's folder, without files.

        Args:
            columns: columns of each part, see ``bev.data.nuscenes.index_build.join``.
            folder: the version's folder.
        """
        index = cls.__new__(cls)
        index.folder, index.root, index.version = folder, folder.parent, folder.name
        for part, names in PARTS.items():
            arrays = {name: columns[part][name] for name in names}
            setattr(index, part, SimpleNamespace(**arrays))
        return index

    def __reduce__(self) -> tuple:
        return Index, (self.folder, self.root, self.version)

    @cached_property
    def channels(self) -> dict[str, int]:
        """Row in ``sensor`` of each channel."""
        return {name.decode(): row for row, name in enumerate(self.sensor.channel)}

    @cached_property
    def class_of_category(self) -> Int[np.ndarray, " categories"]:
        """Index into ``CLASSES`` of each category, -1 for categories without a class."""
        names = (CLASS_OF_CATEGORY.get(name.decode()) for name in self.category.name)
        return np.array([-1 if name is None else CLASSES.index(name) for name in names], int)

    @cached_property
    def is_vehicle(self) -> Bool[np.ndarray, " categories"]:
        """Mask of the categories that are vehicles, including those without a detection class."""
        return np.array([name.decode().startswith(VEHICLE) for name in self.category.name], bool)

    @cached_property
    def attribute_numbers(self) -> Int[np.ndarray, " attributes_and_none"]:
        """Index into ``ATTRIBUTES`` of each attribute of the data set.

        The last entry, which ``NO_ROW`` selects, is -1, and so are attributes that nuScenes does
        not have.
        """
        names = (name.decode() for name in self.attribute.name)
        return np.array([*(ATTRIBUTES.index(n) if n in ATTRIBUTES else -1 for n in names), -1], int)

    def annotations_of(
        self, samples: Sequence[int] | Int[np.ndarray, " s"]
    ) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """The annotations of samples: place of the sample in ``samples``, and row, of each."""
        samples = np.asarray(samples, int)
        starts = self.sample.annotations[:-1][samples]
        counts = self.sample.annotations[1:][samples] - starts
        place = np.repeat(np.arange(len(samples)), counts)
        rows = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(len(place))
        return place, rows

    def num_points(self, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Number of lidar and radar points in each of some annotated boxes."""
        table = self.sample_annotation
        return table.num_lidar_pts[rows].astype(np.int64) + table.num_radar_pts[rows]

    def token_of(self, sample: int) -> str:
        """Token of a row of ``sample``."""
        return self.sample.token[sample].decode()

    def rows_of(self, tokens: Sequence[str]) -> np.ndarray:
        """(len(tokens),) rows of ``sample`` for sample tokens.

        Raises:
            DataError: names a token that is not in the table.
        """
        wanted = np.array([token.encode() for token in tokens], dtype="S")
        rows = find(self.sample.token, self.sample.by_token, wanted)
        if (rows == NO_ROW).any():
            missing = tokens[int(np.argmax(rows == NO_ROW))]
            raise DataError(f"{self.root / self.version} has no sample {missing!r}.")
        return rows


def reference_row(index: Index, sample: int) -> int:
    """The row of ``sample_data`` whose ego pose is the sample's reference ego pose.

    It is the key frame of LIDAR_TOP, otherwise of CAM_FRONT, otherwise the first in the table.
    """
    rows = index.sample.data[sample]
    for name in ("LIDAR_TOP", "CAM_FRONT"):
        channel = index.channels.get(name)
        if channel is not None and rows[channel] != NO_ROW:
            return int(rows[channel])
    return int(rows[rows != NO_ROW].min())


def column_file(folder: Path, part: str, column: str) -> Path:
    """File of one column."""
    return folder / f"{part}.{column}.npy"


def find(tokens: np.ndarray, by_token: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Row of each wanted token, or ``NO_ROW``.

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
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(f"{path.name} is not a regular file")
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped.view(np.ndarray)  # np.memmap itself is slow to slice

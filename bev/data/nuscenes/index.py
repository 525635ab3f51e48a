"""The index: what the project needs of a data set's tables, as memory-mapped columns.

The idea: nuScenes' tables as they are, minus what nobody reads, with every token resolved to a row
number once and for all. Columns are plain ``.npy`` files in one folder, mapped and not loaded:
opening takes milliseconds whatever the size, and all workers and ranks of a machine share the same
pages. (Arrow would add a dependency and gain nothing: there are no nested values, the numbers must
stay exact and cannot be compressed much, and NumPy maps its own files without copying.)

Radar readings are left out; a box's number of radar points is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from bev.errors import DataError

NO_ROW = -1  # where a row has no such neighbour, attribute or reading


@dataclass(frozen=True)
class Scenes:
    """Attributes: name: bytes."""

    name: np.ndarray


@dataclass(frozen=True)
class Samples:
    """Key frames, in the table's order.

    Attributes:
        token: bytes.
        by_token: (S,) the rows in the order of their tokens.
        timestamp: microseconds.
        scene: row of the scene.
        prev, next: the neighbouring key frames' rows, ``NO_ROW`` at a scene's ends.
        annotations: (S + 1,) sample s has annotations ``annotations[s]:annotations[s + 1]``.
        data: (S, channels) row in ``sample_data`` of each channel's key frame, or ``NO_ROW``.
    """

    token: np.ndarray
    by_token: np.ndarray
    timestamp: np.ndarray
    scene: np.ndarray
    prev: np.ndarray
    next: np.ndarray
    annotations: np.ndarray
    data: np.ndarray


@dataclass(frozen=True)
class SampleData:
    """Every image and lidar sweep, key frames and those between, in the table's order.

    Attributes:
        sample: row of the key frame that it belongs to (for a sweep, the nearest).
        channel: row in ``sensor``.
        calibrated_sensor: row there.
        timestamp: microseconds.
        is_key_frame: bool.
        height, width: pixels; 0 for lidar.
        filename: bytes, below the data root.
        prev, next: the rows of the same sensor's readings before and after, or ``NO_ROW``.
        translation: (D, 3) metres, of ``global_from_ego`` at this reading's own time.
        rotation: (D, 4) quaternion w, x, y, z of the same.
    """

    sample: np.ndarray
    channel: np.ndarray
    calibrated_sensor: np.ndarray
    timestamp: np.ndarray
    is_key_frame: np.ndarray
    height: np.ndarray
    width: np.ndarray
    filename: np.ndarray
    prev: np.ndarray
    next: np.ndarray
    translation: np.ndarray
    rotation: np.ndarray


@dataclass(frozen=True)
class CalibratedSensors:
    """Mounting and lens of each sensor of each car.

    Attributes:
        translation: (K, 3) metres, of ``ego_from_sensor``.
        rotation: (K, 4) quaternion w, x, y, z of the same.
        camera_intrinsic: (K, 3, 3) pixels from camera rays; zero for lidar.
    """

    translation: np.ndarray
    rotation: np.ndarray
    camera_intrinsic: np.ndarray


@dataclass(frozen=True)
class Annotations:
    """Boxes in the global frame, by sample; within a sample in the table's order.

    Those that ``bev.data.nuscenes.values.no_box`` marks are left out.

    Attributes:
        instance: number of the tracked object.
        category: row in ``category``.
        attribute: row in ``attribute`` of the first attribute, or ``NO_ROW``.
        attribute_count: how many attributes.
        visibility: level 1 (0-40 %) to 4 (80-100 %); 0 where unknown.
        num_lidar_pts, num_radar_pts: points on the box.
        translation: (A, 3) centre, metres.
        size: (A, 3) width, length, height, metres.
        rotation: (A, 4) quaternion w, x, y, z.
        velocity: (A, 2) vx, vy, metres per second, by the devkit's rule (``box_velocity``): from
            the track's neighbouring boxes; NaN where there is none or it is too far in time.
    """

    instance: np.ndarray
    category: np.ndarray
    attribute: np.ndarray
    attribute_count: np.ndarray
    visibility: np.ndarray
    num_lidar_pts: np.ndarray
    num_radar_pts: np.ndarray
    translation: np.ndarray
    size: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray


@dataclass(frozen=True)
class Names:
    """Attributes: name: bytes, of categories or attributes, in the table's order."""

    name: np.ndarray


@dataclass(frozen=True)
class Sensors:
    """Channels of cameras and lidars; attributes: channel, modality: bytes."""

    channel: np.ndarray
    modality: np.ndarray


@dataclass(frozen=True, eq=False)
class Index:
    """An opened index; see ``bev.data.nuscenes.index_cache.open_index``.

    Attributes:
        folder: where its columns lie.
        root: folder of the data set; file names are below it.
        version: nuScenes version.

    Pickled, it is its folder's name: a worker that is not forked maps the same files again.
    """

    folder: Path
    root: Path
    version: str
    scene: Scenes
    sample: Samples
    sample_data: SampleData
    calibrated_sensor: CalibratedSensors
    sample_annotation: Annotations
    category: Names
    attribute: Names
    sensor: Sensors

    @classmethod
    def load(cls, folder: Path, root: Path, version: str) -> "Index":
        """Map the columns of a finished index.

        Raises:
            DataError: where the folder lacks a column or one is damaged.
        """
        try:
            parts = {table: _map(folder, table, columns) for table, columns in PARTS.items()}
        except (OSError, ValueError) as error:
            raise DataError(
                f"The index {folder} is damaged ({error}); delete it, it is made again."
            ) from error
        return cls(folder, root, version, **parts)

    def __reduce__(self) -> tuple:
        return Index.load, (self.folder, self.root, self.version)

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


# The part of the index that each table becomes.
PARTS: dict[str, type] = {
    "scene": Scenes,
    "sample": Samples,
    "sample_data": SampleData,
    "calibrated_sensor": CalibratedSensors,
    "sample_annotation": Annotations,
    "category": Names,
    "attribute": Names,
    "sensor": Sensors,
}


def column_file(folder: Path, table: str, column: str) -> Path:
    """The file of one column."""
    return folder / f"{table}.{column}.npy"


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


def _map(folder: Path, table: str, columns: type):
    def column(name: str) -> np.ndarray:
        mapped = np.load(column_file(folder, table, name), mmap_mode="r", allow_pickle=False)
        return mapped.view(np.ndarray)  # np.memmap itself is slow to slice

    return columns(**{field.name: column(field.name) for field in fields(columns)})

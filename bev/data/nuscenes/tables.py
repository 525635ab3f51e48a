"""A nuScenes table (a JSON array of rows) as NumPy columns.

The idea: one row is decoded at a time and a chunk of rows becomes arrays at once, so that reading
needs the memory of the text and of the columns, not of a million dictionaries. Nothing here knows
how tables refer to each other: references stay tokens.
"""

import hashlib
import json
import mmap
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bev.errors import DataError

_CHUNK = 16384  # rows
_BETWEEN_ROWS = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Column:
    """One field of a table's rows.

    Attributes:
        field: its name in the table.
        dtype: NumPy type; "S" is text as UTF-8 bytes, as wide as the longest entry.
        shape: of one entry.
        convert: from the JSON value to the entry.
    """

    field: str
    dtype: str = "S"
    shape: tuple[int, ...] = ()
    convert: Callable[[Any], Any] | None = None

    def of(self, rows: list[dict]) -> np.ndarray:
        """The column of some rows; raises ValueError and the like where a value does not fit."""
        values = [row[self.field] for row in rows]
        if self.convert is not None:
            values = [self.convert(value) for value in values]
        if self.dtype == "S":
            values = [value.encode() for value in values]
        column = np.array(values, dtype=self.dtype)
        if column.shape[1:] != self.shape:
            raise ValueError(f"not of shape {self.shape}")
        return column


def _first(tokens: list[str]) -> str:
    return tokens[0] if tokens else ""


def _level(token: str) -> int:
    return int(token or 0)


def _matrix(intrinsic: list) -> list:
    return intrinsic or [[0.0] * 3] * 3


_TOKEN = {"token": Column("token")}
_NEIGHBOURS = {"prev": Column("prev"), "next": Column("next")}
_POSE = {
    "translation": Column("translation", "f8", (3,)),
    "rotation": Column("rotation", "f8", (4,)),
}

# What the index is made of. The tables that are not here (log, map, visibility) hold nothing that
# training, sequences or the official evaluation use.
TABLES: dict[str, dict[str, Column]] = {
    "attribute": {**_TOKEN, "name": Column("name")},
    "calibrated_sensor": {
        **_TOKEN,
        **_POSE,
        "sensor_token": Column("sensor_token"),
        "camera_intrinsic": Column("camera_intrinsic", "f8", (3, 3), _matrix),
    },
    "category": {**_TOKEN, "name": Column("name")},
    "ego_pose": {**_TOKEN, **_POSE},
    "instance": {**_TOKEN, "category_token": Column("category_token")},
    "sample": {
        **_TOKEN,
        **_NEIGHBOURS,
        "timestamp": Column("timestamp", "i8"),
        "scene_token": Column("scene_token"),
    },
    "sample_annotation": {
        **_TOKEN,
        **_NEIGHBOURS,
        **_POSE,
        "sample_token": Column("sample_token"),
        "instance_token": Column("instance_token"),
        "attribute_token": Column("attribute_tokens", convert=_first),
        "attribute_count": Column("attribute_tokens", "u1", convert=len),
        "visibility": Column("visibility_token", "i1", convert=_level),
        "size": Column("size", "f8", (3,)),
        "num_lidar_pts": Column("num_lidar_pts", "i4"),
        "num_radar_pts": Column("num_radar_pts", "i4"),
    },
    "sample_data": {
        **_TOKEN,
        **_NEIGHBOURS,
        "sample_token": Column("sample_token"),
        "ego_pose_token": Column("ego_pose_token"),
        "calibrated_sensor_token": Column("calibrated_sensor_token"),
        "timestamp": Column("timestamp", "i8"),
        "is_key_frame": Column("is_key_frame", "?"),
        "height": Column("height", "i4"),
        "width": Column("width", "i4"),
        "filename": Column("filename"),
    },
    "scene": {**_TOKEN, "name": Column("name")},
    "sensor": {**_TOKEN, "channel": Column("channel"), "modality": Column("modality")},
}


def table_file(folder: Path, table: str) -> Path:
    """The file of a table in the version's folder."""
    return folder / f"{table}.json"


def content_hash(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def _refuse(fault: DataError) -> None:
    raise fault


def read_table(
    folder: Path,
    table: str,
    progress: Callable[[int], object] = lambda _: None,
    on_fault: Callable[[DataError], object] = _refuse,
) -> tuple[dict[str, np.ndarray], str]:
    """The columns of one of ``TABLES``, and the hash of the content that they were read from.

    Args:
        folder: the version's folder.
        progress: called with the characters read since it was called last.
        on_fault: called with each fault in the rows; where it returns, the faulty row, or all
            behind a place that cannot be parsed, is left out. By default it raises.

    Raises:
        DataError: where the table cannot be read as text, is damaged or a row lacks a field; names
            file and row.
    """
    path = table_file(folder, table)
    if path.stat().st_size == 0:
        raise DataError(f"Table {path} is empty; fetch the tables again.")
    # Mapped, not read: the bytes stay the system's to drop, only the text is this process's.
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        digest = hashlib.sha256(content).hexdigest()
        try:
            text = str(content, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"Table {path} is damaged ({error}); fetch it again.") from error
    columns = TABLES[table]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in columns}
    stream, reported = _rows(text, path, on_fault), 0
    while chunk := list(islice(stream, _CHUNK)):
        rows = [row for row, _ in chunk]
        for name, part in _chunk(columns, rows, path, on_fault).items():
            parts[name].append(part)
        progress(chunk[-1][1] - reported)
        reported = chunk[-1][1]
    empty = {name: np.zeros((0, *c.shape), c.dtype) for name, c in columns.items()}
    return {name: np.concatenate(part or [empty[name]]) for name, part in parts.items()}, digest


def _rows(
    text: str, path: Path, on_fault: Callable[[DataError], object]
) -> Iterator[tuple[dict, int]]:
    """Each row and the position behind it."""
    decode = json.JSONDecoder().raw_decode
    position = _BETWEEN_ROWS.match(text).end()
    if not text.startswith("[", position):
        on_fault(DataError(f"Table {path} is not a list of rows; fetch it again."))
        return
    position += 1
    while True:
        position = _BETWEEN_ROWS.match(text, position).end()
        if text.startswith("]", position):
            return
        try:
            row, position = decode(text, position)
        except ValueError:
            on_fault(
                DataError(
                    f"Table {path} is damaged or cut off at character {position} of {len(text)};"
                    " fetch it again."
                )
            )
            return
        yield row, position


def _chunk(
    columns: dict[str, Column],
    rows: list[dict],
    path: Path,
    on_fault: Callable[[DataError], object],
) -> dict[str, np.ndarray]:
    """The columns of some rows, without those that ``on_fault`` was told of."""
    try:
        return {name: _column(column, rows, path) for name, column in columns.items()}
    except DataError as error:
        if len(rows) == 1:
            on_fault(error)
            return {name: np.zeros((0, *c.shape), c.dtype) for name, c in columns.items()}
    half = len(rows) // 2
    parts = [_chunk(columns, part, path, on_fault) for part in (rows[:half], rows[half:])]
    return {name: np.concatenate([part[name] for part in parts]) for name in columns}


def _column(column: Column, rows: list[dict], path: Path) -> np.ndarray:
    try:
        return column.of(rows)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        row = rows[0]  # the faulty one where it is alone
        token = row.get("token", "without token") if isinstance(row, dict) else repr(row)[:80]
        found = row.get(column.field, "missing") if isinstance(row, dict) else "missing"
        raise DataError(
            f"Table {path}, row {token}: {column.field} is {found!r}, which cannot be used"
            f" ({type(error).__name__}: {error}); mend the row or fetch the table again."
        ) from error

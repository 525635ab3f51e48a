"""A nuScenes table (a JSON array of rows) as NumPy columns, and which tables and fields are read.

The idea: one row is decoded at a time and a chunk of rows becomes arrays at once, so that reading
needs the memory of the text and of the columns, not of a million dictionaries. References stay
tokens here; ``TABLES`` tells what they refer to.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bev.errors import DataError

REQUIRED = object()
_CHUNK = 256  # rows; those of a chunk should fit the processor's cache
_BETWEEN_ROWS = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Column:
    """One field of a table's rows.

    Attributes:
        dtype: NumPy type; "S" is text as UTF-8 bytes, as wide as the longest entry.
        shape: of one entry.
        convert: from the JSON value to the entry.
        field: its name in the table, if not the column's.
        target: the table whose tokens it holds, if it is a reference.
        needed: which of these must be there: "all", "named" (that are not empty) or "none".
        default: the JSON value of rows without the field; without it they are faulty.
    """

    dtype: str = "S"
    shape: tuple[int, ...] = ()
    convert: Callable[[Any], Any] | None = None
    field: str = ""
    target: str = ""
    needed: str = "all"
    default: Any = REQUIRED

    def of(self, name: str, rows: list[dict]) -> np.ndarray:
        """The column of some rows; raises ValueError and the like where a value does not fit."""
        field = self.field or name
        if self.default is REQUIRED:
            values = [row[field] for row in rows]
        else:
            values = [row.get(field, self.default) for row in rows]
        if self.convert is not None:
            values = list(map(self.convert, values))
        if self.dtype == "S":
            values = list(map(str.encode, values))
        column = np.array(values, self.dtype)
        if rows and column.shape[1:] != self.shape:
            raise ValueError(f"not of shape {self.shape}")
        return column.reshape(len(rows), *self.shape)

    def lost(self, tokens: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Whether each token must be in the target and is not, where its row is negative."""
        needed = tokens != b"" if self.needed == "named" else self.needed == "all"
        return (rows < 0) & needed


def _coefficients(numbers: list[float] | None) -> list[float]:
    """k1 to k4 of a fisheye; NaN where there are none, or the other numbers of other lenses."""
    return numbers if numbers and len(numbers) == 4 else [math.nan] * 4


_TEXT, _TIME, _NUMBER = Column(), Column("i8"), Column("i4")
_POSE = {"translation": Column("f8", (3,)), "rotation": Column("f8", (4,))}
_NAMES = {"token": _TEXT, "name": _TEXT}


def _references(*targets: str) -> dict[str, Column]:
    return {f"{target}_token": Column(target=target) for target in targets}


def _neighbours(table: str, needed: str) -> dict[str, Column]:
    return dict.fromkeys(("prev", "next"), Column(target=table, needed=needed))


# What the index is made of. The tables that are not here (log, map, visibility) hold nothing that
# training, sequences or the official evaluation use. Neighbours of samples and readings need not be
# there, so that a part cut out of a data set can be used.
TABLES: dict[str, dict[str, Column]] = {
    "sample_annotation": {
        "token": _TEXT, **_neighbours("sample_annotation", "named"),
        **_references("sample", "instance"),
        "attribute_token": Column(convert=lambda tokens: tokens[0] if tokens else "",
                                  field="attribute_tokens", target="attribute", needed="named"),
        "attribute_count": Column("u1", convert=len, field="attribute_tokens"),
        "visibility": Column("i1", convert=lambda token: int(token or 0), field="visibility_token"),
        **_POSE, "size": Column("f8", (3,)), "num_lidar_pts": _NUMBER, "num_radar_pts": _NUMBER,
    },
    "sample_data": {
        "token": _TEXT, **_neighbours("sample_data", "none"),
        **_references("sample", "ego_pose", "calibrated_sensor"),
        "timestamp": _TIME, "is_key_frame": Column("?"),
        "height": _NUMBER, "width": _NUMBER, "filename": _TEXT,
    },
    "ego_pose": {"token": _TEXT, **_POSE},
    "sample": {
        "token": _TEXT, **_neighbours("sample", "none"), **_references("scene"), "timestamp": _TIME
    },
    "scene": _NAMES, "category": _NAMES, "attribute": _NAMES,
    "instance": {"token": _TEXT, **_references("category")},
    "calibrated_sensor": {
        "token": _TEXT, **_references("sensor"), **_POSE,
        "camera_intrinsic": Column("f8", (3, 3), lambda lens: lens or [[0.0] * 3] * 3),
        # Beyond nuScenes: other lenses than pinholes; see docs/cameras.md.
        "camera_model": Column(convert=lambda model: model or "pinhole", default=None),
        "camera_distortion": Column("f8", (4,), _coefficients, default=None),
        "camera_max_angle": Column("f8", default=None),  # NaN of None
    },
    "sensor": {"token": _TEXT, "channel": _TEXT, "modality": _TEXT},
}  # fmt: skip


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


def read_table(
    folder: Path,
    table: str,
    progress: Callable[[int], object] = lambda _: None,
    on_fault: Callable[[str], object] | None = None,
) -> tuple[dict[str, np.ndarray], str]:
    """The columns of one of ``TABLES``, and the hash of the content that they were read from.

    Args:
        folder: the version's folder.
        progress: called with the characters read since it was called last.
        on_fault: called with each fault in the rows, in place of an error; the faulty row, or all
            behind a place that cannot be parsed, is left out.

    Raises:
        DataError: where the table cannot be read as text, is damaged or a row lacks a field; names
            file and row.
    """
    path = table_file(folder, table)

    def fault(message: str) -> None:
        if on_fault is None:
            raise DataError(f"Table {path}{message}")
        on_fault(f"Table {path}{message}")

    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"Table {path} is damaged ({error}); fetch it again.") from error
    del content
    parts = {name: [column.of(name, [])] for name, column in TABLES[table].items()}
    stream, reported = _rows(text, fault), 0
    while chunk := list(islice(stream, _CHUNK)):
        for columns in _columns(table, [row for row, _ in chunk], fault):
            for name, column in columns.items():
                parts[name].append(column)
        progress(chunk[-1][1] - reported)
        reported = chunk[-1][1]
    del text, stream, chunk
    return {name: np.concatenate(parts.pop(name)) for name in TABLES[table]}, digest


def _rows(text: str, fault: Callable[[str], object]) -> Iterator[tuple[dict, int]]:
    """Each row and the position behind it."""
    decode, skip = json.JSONDecoder().raw_decode, _BETWEEN_ROWS.match
    position = skip(text).end()
    if not text.startswith("[", position):
        return fault(f" is {'not a list of rows' if text else 'empty'}; fetch it again.")
    position = skip(text, position + 1).end()
    while not text.startswith("]", position):
        try:
            row, end = decode(text, position)
        except ValueError:
            place = f"character {position} of {len(text)}"
            return fault(f" is damaged or cut off at {place}; fetch it again.")
        yield row, end
        position = skip(text, end).end()


def _columns(
    table: str, rows: list, fault: Callable[[str], object]
) -> Iterator[dict[str, np.ndarray]]:
    """The columns of some rows; where one is faulty, of each that is not."""
    columns = {}
    try:
        for name, column in TABLES[table].items():
            columns[name] = column.of(name, rows)
        yield columns
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if len(rows) > 1:
            for row in rows:
                yield from _columns(table, [row], fault)
            return
        row, field = rows[0], column.field or name
        token, found = repr(row)[:80], "missing"
        if isinstance(row, dict):
            token, found = row.get("token", "without token"), row.get(field, found)
        fault(
            f", row {token}: {field} is {found!r}, which cannot be used ({type(error).__name__}:"
            f" {error}); mend the row or fetch the table again."
        )

"""Reading of nuScenes tables (JSON arrays of rows) into NumPy columns.

Rows are decoded one at a time and converted to arrays in chunks, so reading needs memory for the
text and the columns, but not for a million dictionaries. References remain tokens here; ``TABLES``
lists the tables, the fields and the targets of references.
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

from bev.errors import DataError, shown
from bev.paths import check_inside

REQUIRED = object()
_CHUNK = 256  # rows per chunk, which should fit into the CPU cache
_LONGEST = 512  # bytes of a text
_BETWEEN_ROWS = re.compile(r"[\s,]*")


@dataclass(frozen=True)
class Column:
    """One field of a table's rows.

    Attributes:
        dtype: NumPy type; "S" is text as UTF-8 bytes, as wide as the longest entry.
        shape: shape of one entry.
        convert: function from the JSON value to the entry.
        field: name of the field in the table, if it differs from the column's name.
        target: table that the tokens refer to, if the column is a reference.
        needed: references that must exist in the target: "all", "named" (not empty) or "none".
        default: JSON value of rows without the field; without a default such rows are faulty.
    """

    dtype: str = "S"
    shape: tuple[int, ...] = ()
    convert: Callable[[Any], Any] | None = None
    field: str = ""
    target: str = ""
    needed: str = "all"
    default: Any = REQUIRED

    def of(self, name: str, rows: list[dict]) -> np.ndarray:
        """Convert the field of some rows to an array.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, OverflowError: for an invalid value.
        """
        field = self.field or name
        if self.default is REQUIRED:
            values = [row[field] for row in rows]
        else:
            values = [row.get(field, self.default) for row in rows]
        if self.convert is not None:
            values = list(map(self.convert, values))
        if self.dtype == "S":
            try:
                values = list(map(str.encode, values))
            except TypeError:  # numbers as tokens, or null for a missing neighbour
                is_token = bool(self.target) or name == "token"
                values = [self._encoded(value, is_token) for value in values]
            _check_bytes(values)
        column = np.array(values, self.dtype)
        if rows and column.shape[1:] != self.shape:
            raise ValueError(f"not of shape {self.shape}")
        return column.reshape(len(rows), *self.shape)

    def _encoded(self, value: Any, is_token: bool) -> bytes:
        """Text, a number as a token, or null as an optional reference, in bytes."""
        if isinstance(value, str):
            return value.encode()
        if is_token and type(value) is int:
            return b"%d" % value
        if value is None and self.target and self.needed != "all":
            return b""
        raise TypeError(f"text is needed, not {type(value).__name__}")

    def lost(self, tokens: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mask of tokens that are missing in the target table (negative row) but needed."""
        needed = tokens != b"" if self.needed == "named" else self.needed == "all"
        return (rows < 0) & needed


def _check_bytes(values: list[bytes]) -> None:
    """Reject what a column cannot hold: long text would widen all of it, and NumPy drops nulls."""
    if max(map(len, values), default=0) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} bytes")
    if b"\0" in b"".join(values):
        raise ValueError("a null character")


def _coefficients(numbers: list[float] | None) -> list[float]:
    """Coefficients k1 to k4 of a fisheye; NaN for other lenses."""
    return numbers if numbers and len(numbers) == 4 else [math.nan] * 4


def _visibility(token: object) -> int:
    """Level of a visibility token, 1 to 4 in nuScenes; 0 (unknown) for tokens of another form."""
    return int(level) if (level := str(token)) in ("1", "2", "3", "4") else 0


_TEXT, _TIME, _NUMBER = Column(), Column("i8"), Column("i4")
_POSE = {"translation": Column("f8", (3,)), "rotation": Column("f8", (4,))}
_NAMES = {"token": _TEXT, "name": _TEXT}


def _references(*targets: str) -> dict[str, Column]:
    return {f"{target}_token": Column(target=target) for target in targets}


def _neighbours(table: str, needed: str) -> dict[str, Column]:
    return dict.fromkeys(("prev", "next"), Column(target=table, needed=needed))


# Tables and fields of the index. Training, adjacent frames and the official evaluation do not use
# the other tables (log, map, visibility). Neighbours of samples and sample_data rows may be
# missing, so that a part of a data set can be used.
TABLES: dict[str, dict[str, Column]] = {
    "sample_annotation": {
        "token": _TEXT, **_neighbours("sample_annotation", "named"),
        **_references("sample", "instance"),
        "attribute_token": Column(convert=lambda tokens: tokens[0] if tokens else "",
                                  field="attribute_tokens", target="attribute", needed="named"),
        "attribute_count": Column("u1", convert=lambda tokens: min(len(tokens or ()), 255),
                                  field="attribute_tokens"),
        "visibility": Column("i1", convert=_visibility, field="visibility_token"),
        **_POSE, "size": Column("f8", (3,)), "num_lidar_pts": _NUMBER, "num_radar_pts": _NUMBER,
    },
    "sample_data": {
        "token": _TEXT, **_neighbours("sample_data", "none"),
        **_references("sample", "ego_pose", "calibrated_sensor"),
        "timestamp": _TIME, "is_key_frame": Column("?"),
        "height": _NUMBER, "width": _NUMBER, "filename": Column(convert=check_inside),
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
        # Extension of nuScenes: lenses other than pinholes, see docs/cameras.md.
        "camera_model": Column(convert=lambda model: model or "pinhole", default=None),
        "camera_distortion": Column("f8", (4,), _coefficients, default=None),
        "camera_max_angle": Column("f8", default=None),  # None becomes NaN
    },
    "sensor": {
        "token": _TEXT, "channel": _TEXT,
        "modality": Column(convert=lambda modality: modality.strip().lower()),
    },
}  # fmt: skip


# Tables that data without annotations need not have.
OF_ANNOTATIONS = ("sample_annotation", "instance", "category", "attribute")


def table_file(folder: Path, table: str) -> Path:
    """File of a table in the version's folder."""
    return folder / f"{table}.json"


def absent(folder: Path, table: str) -> bool:
    """True for a missing table of data without annotations, which counts as an empty one."""
    bare = table in OF_ANNOTATIONS and not table_file(folder, "sample_annotation").exists()
    return bare and not table_file(folder, table).exists()


def table_size(folder: Path, table: str) -> int:
    """Size of a table's file, bytes; 0 for one that is :func:`absent`."""
    return 0 if absent(folder, table) else table_file(folder, table).stat().st_size


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
    """Read the columns of one of ``TABLES`` and the hash of the file's content.

    Args:
        folder: the version's folder.
        table: name of the table.
        progress: called with the number of characters read since the previous call.
        on_fault: called with each fault in the rows instead of raising an error; the faulty row, or
            everything after a position that cannot be parsed, is omitted.

    Raises:
        DataError: if the table is not text, is damaged, or a row lacks a field; names the file and
            the row.
    """
    path = table_file(folder, table)

    def fault(message: str) -> None:
        if on_fault is None:
            raise DataError(f"Table {path}{message}")
        on_fault(f"Table {path}{message}")

    content = b"[]" if absent(folder, table) else path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"Table {path} is damaged ({error}); download it again.") from error
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
    """Iterate over the rows, each with the position of its end."""
    decode, skip = json.JSONDecoder().raw_decode, _BETWEEN_ROWS.match
    position = gap.end() if (gap := skip(text)) else 0
    if not text.startswith("[", position):
        fault(f" is {'not a list of rows' if text else 'empty'}; download it again.")
        return
    end = position + 1
    while True:
        position = gap.end() if (gap := skip(text, end)) else end
        if text.startswith("]", position):
            return
        try:
            row, end = decode(text, position)
        except (ValueError, RecursionError):
            place = f"character {position} of {len(text)}"
            fault(f" is damaged or truncated at {place}; download it again.")
            return
        yield row, end


def _columns(
    table: str, rows: list, fault: Callable[[str], object]
) -> Iterator[dict[str, np.ndarray]]:
    """Iterate over the columns of some rows; if a row is faulty, row by row without faulty rows."""
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
        token, value = shown(row)[:80], "missing"
        if isinstance(row, dict):
            token, value = row.get("token", "without token"), row.get(field, value)
            token = token[:80] if isinstance(token, str) else shown(token)
        fault(
            f", row {token}: {field} is {shown(value)}, which cannot be used"
            f" ({type(error).__name__}: {str(error)[:200]}); correct the row or download the"
            " table again."
        )

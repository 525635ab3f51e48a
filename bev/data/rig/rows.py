"""Rows of small tables that users write, such as times and poses: CSV with a header, or JSON."""

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bev.data.rig.patterns import LATEST, UNITS, microseconds
from bev.errors import DataError, shown
from bev.plain_json import is_number, load_json

_MOST_BYTES = 1 << 28
_TIMES = {unit: unit for unit in UNITS} | {"timestamp": "microseconds"}  # as in nuScenes


class Row(NamedTuple):
    """One row: its values by column, and a description of its place for messages."""

    values: Mapping[str, Any]
    where: str

    def text(self, column: str) -> str:
        """Text of a column; empty if the row does not have it."""
        value = self.values.get(column, "")
        return str(value) if isinstance(value, str | int) else ""

    def number(self, column: str) -> float:
        """Number of a column.

        Raises:
            DataError: if there is none.
        """
        value = self.values.get(column)
        if isinstance(value, str):
            with suppress(ValueError):
                value = float(value)
        if not is_number(value):
            given = "missing" if column not in self.values else shown(value)
            raise DataError(f"{self.where}: {column} is {given}; give a finite number.")
        return float(value)  # type: ignore[arg-type]

    def time(self) -> int | None:
        """Microseconds; None without a column of a time.

        Raises:
            DataError: if there are two such columns, or the value is no number.
        """
        units = [unit for unit in _TIMES if unit in self.values]
        if len(units) > 1:
            raise DataError(f"{self.where} has {units[0]} and {units[1]}; give one time.")
        if not units:
            return None
        self.number(units[0])
        time = microseconds(str(self.values[units[0]]), _TIMES[units[0]])
        if abs(time) > LATEST:
            raise DataError(
                f"{self.where}: {units[0]} is {shown(self.values[units[0]])}, which is no time;"
                " correct the number or its unit."
            )
        return time


def read_rows(path: Path, what: str) -> list[Row]:
    """Read a table.

    Args:
        path: CSV file with a header, or JSON file with a list of objects.
        what: description of the table, the beginning of messages, such as "Poses".

    Raises:
        DataError: if the file cannot be read or has no rows.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        if len(data) > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES >> 20} MiB")
        content = data.decode("utf-8-sig")
        rows = load_json(content) if path.suffix.lower() == ".json" else _csv_rows(content)
    except (OSError, ValueError, csv.Error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataError(f"{what} {path} cannot be read ({why}); correct the file.") from error
    result = []
    for place, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict) and row and not any(value != "" for value in row.values()):
            continue  # spreadsheets write rows without content
        where = f"{what} {path}, row {place + 1}"
        if not isinstance(row, dict):
            raise DataError(f"{where} is {shown(row)}; give columns with values.")
        result.append(Row(row, where))
    if not result:
        raise DataError(f"{what} {path} has no rows; write a list of rows.")
    return result


def _csv_rows(content: str) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(content), skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    for name in names:
        if name and names.count(name) > 1:
            raise ValueError(f"its header has {shown(name)} twice")
    return [
        {key.strip(): (value or "").strip() for key, value in row.items() if isinstance(key, str)}
        for row in reader
    ]

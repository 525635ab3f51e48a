"""Input and CSV files of benchmarks."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Place:
    """A results file and its ground truth."""

    results: Path
    root: Path
    version: str
    split: str


def write_csv(rows: Sequence[Any], path: Path) -> None:
    """Write one or more instances of a dataclass as rows; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, asdict(rows[0]))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)

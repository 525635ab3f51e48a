"""Builds an index, as a process of its own: python -m bev.data.nuscenes.index_build JOB

The idea: what is needed in passing (a table's text, the sorts) is several times the index, and a
process that ends gives all of it back, so the process that wants the index starts this one. Large
tables are read in processes of their own, at the same time. Imports neither torch nor the devkit:
it starts in a fraction of a second.
"""

import gc
import json
import multiprocessing
import os
import queue
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bev.data.nuscenes.index import column_file
from bev.data.nuscenes.index_join import ALL_DAMAGE, join
from bev.data.nuscenes.tables import TABLES, read_table, table_file
from bev.errors import BevError, DataError

_LARGE = 16 << 20  # bytes of a table from which a process of its own pays


@dataclass(frozen=True)
class Job:
    """What to build.

    Attributes:
        tables: the version's folder.
        out: an empty folder, to be filled with the index's columns.
        hashes: of each table's content, as its name in the index says.
        parallel: read large tables at the same time.
    """

    tables: str
    out: str
    hashes: dict[str, str]
    parallel: bool

    def command(self) -> list[str]:
        """The command that runs this job."""
        return [sys.executable, "-m", "bev.data.nuscenes.index_build", json.dumps(asdict(self))]


def build(job: Job) -> None:
    """Fill ``job.out`` with the columns of the index.

    Raises:
        DataError: where the tables are damaged or do not fit each other, or change meanwhile.
    """
    folder, out = Path(job.tables), Path(job.out)
    raw = out / "tables"
    raw.mkdir()
    for table, found in _read_all(folder, raw, job.parallel).items():
        if found != job.hashes[table]:
            raise DataError(
                f"Table {table_file(folder, table)} changed while it was read; try again when"
                " nothing writes there any more."
            )
    tables = {
        table: {name: np.load(column_file(raw, table, name)) for name in columns}
        for table, columns in TABLES.items()
    }
    joined = join(folder, tables)
    left_out = len(tables["sample_annotation"]["token"]) - len(joined["sample_annotation"]["size"])
    if left_out:
        print(
            f"warning: {left_out} boxes of {folder} have no size above 0, or a number that is not"
            f" finite, and are left out; {ALL_DAMAGE.format(folder.parent)}.",
            file=sys.stderr,
        )
    for part, columns in joined.items():
        for name, column in columns.items():
            _save(column_file(out, part, name), column)
    shutil.rmtree(raw)


def _read_all(folder: Path, raw: Path, parallel: bool) -> dict[str, str]:
    """Read every table into ``raw``; returns the hashes of their contents."""
    sizes = {table: table_file(folder, table).stat().st_size for table in TABLES}
    parent = os.getppid()
    with tqdm(
        total=sum(sizes.values()),
        desc=f"index {folder.name}",
        unit="B",
        unit_scale=True,
        delay=1,
        leave=False,
    ) as bar:

        def advance(characters: int) -> None:
            if os.getppid() != parent:
                raise DataError("The process that wanted the index is gone.")
            bar.update(characters)

        large = [table for table, size in sizes.items() if parallel and size > _LARGE]
        reports, processes = _start(folder, raw, large)
        small = [table for table in TABLES if table not in large]
        hashes = {table: _read_one(folder, raw, table, advance) for table in small}
        while len(hashes) < len(TABLES):
            try:
                table, message = reports.get(timeout=0.2)
            except queue.Empty:
                ended = [process.exitcode for process in processes if process.exitcode]
                if ended and reports.empty():
                    raise DataError(
                        f"A process that read a table of {folder} ended with status {ended[0]}"
                        " (-9: too little memory); see above."
                    ) from None
                advance(0)
                continue
            if isinstance(message, BevError):
                raise message
            if isinstance(message, int):
                advance(message)
            else:
                hashes[table] = message
    return hashes


def _start(folder: Path, raw: Path, tables: list[str]):
    """Start a process for each table; they put (table, characters read, hash or error) here."""
    context = multiprocessing.get_context("spawn")
    reports = context.Queue()
    processes = [
        context.Process(target=_read_apart, args=(folder, raw, table, reports), daemon=True)
        for table in tables
    ]
    for process in processes:
        process.start()
    return reports, processes


def _read_apart(folder: Path, raw: Path, table: str, reports) -> None:
    gc.disable()  # rows hold no cycles, and looking for some takes time
    parent = os.getppid()

    def progress(characters: int) -> None:
        if os.getppid() != parent:
            os._exit(1)
        reports.put((table, characters))

    try:
        reports.put((table, _read_one(folder, raw, table, progress)))
    except BevError as error:
        reports.put((table, error))


def _read_one(folder: Path, raw: Path, table: str, progress: Callable[[int], object]) -> str:
    columns, found = read_table(folder, table, progress)
    for name, column in columns.items():
        np.save(column_file(raw, table, name), column)
    return found


def _save(path: Path, column: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, column)
        file.flush()
        os.fsync(file.fileno())  # a power cut must not leave a finished index with holes


def main() -> None:
    """Run the job; what a user can mend goes to standard output, as one sentence."""
    try:
        build(Job(**json.loads(sys.argv[1])))
    except BevError as error:
        print(error)
        sys.exit(1)


if __name__ == "__main__":
    main()

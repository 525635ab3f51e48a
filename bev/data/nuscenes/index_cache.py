"""Where indexes are kept, and when one may be used: never for tables that have changed.

The idea: an index's name is a hash of the content of the tables that it was made from, so it cannot
be stale; copied or moved tables find it again. A small record beside the indexes saves hashing
gigabytes at every start: for each data root its index, and every table's size, modification and
change time. It is not believed where one of the three differs, or where a table had been touched
within two seconds of being hashed (two writes may fall on one tick of a file system's clock). No
program can set the change time back, so a copy that preserves times (rsync -t) is noticed too. Not
noticed: content that changes with none of the three, as a disk altered while it is not mounted.

Several processes: building holds a lock of the place (see ``bev.data.cache_place``), so one builds
and the others wait and open what it built. An index is filled under another name and renamed when
it is whole; what a killed build left is cleared away by the next. Opening an index that is there
takes no lock and writes nothing. Where the file system has no locks, several processes may build
the same index, and the first to finish gives it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import bev
from bev.data.cache_place import cache_places, locked, may_write, owner
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.tables import TABLES, content_hash, table_file
from bev.errors import DataError
from bev.files import PARTIAL, replacing
from bev.machine import usable_cores

FORMAT = 4  # to be raised with every change of what the columns hold
BUILD = [sys.executable, "-m", "bev.data.nuscenes.index_build"]  # with the build's job
_TICK = 2e9  # nanoseconds, the coarsest clock of a file system (FAT)


def open_index(root: Path, version: str) -> Index:
    """The index of a data set; built first where there is none yet.

    Args:
        root: folder of the data set.
        version: the name of the tables' folder below it.

    Raises:
        DataError: where the root or the version folder is missing or incomplete, a table is
            damaged, or no place for the index can be written.
    """
    folder = _tables_folder(root, version)
    places = cache_places(root, "index")
    for place in places:
        if (found := _recorded(place, folder)) is not None:
            return Index(found, root, version)
    for place in filter(may_write, places):
        try:
            lock = (place / "lock").open("a")
        except OSError:  # another user's
            continue
        with lock, locked(lock) as held:
            if held:  # so nobody builds: what lies here was left by processes that were killed
                for left in place.glob(f"{PARTIAL}*"):
                    shutil.rmtree(left, ignore_errors=True)
                    with suppress(OSError):
                        left.unlink()
            # Another process may have built it while this one waited.
            found = _recorded(place, folder) or _build(places, place, folder)
            return Index(found, root, version)
    raise DataError(
        f"No place for the index of {folder} can be written"
        f" ({' nor '.join(map(str, places))}); set BEV_CACHE to a folder that can."
    )


def _tables_folder(root: Path, version: str) -> Path:
    folder = root / version
    if not root.is_dir():
        mend = f"--data.root must name a folder that holds {version}/, samples/ and maps/."
        if version == "v1.0-synthetic":
            mend = f"make it: bevlab make-synthetic {root}"
        raise DataError(f"Data root {root} does not exist; {mend}")
    if not folder.is_dir():
        found = sorted(p.parent.name for p in root.glob("*/sample_data.json"))
        raise DataError(
            f"Data root {root} holds no version {version} (found: {', '.join(found) or 'none'});"
            " set --data.version."
        )
    lost = [f"{table}.json" for table in TABLES if not table_file(folder, table).is_file()]
    if lost:
        lost = f"({', '.join(lost)} missing)"
        raise DataError(f"The tables in {folder} cannot be opened {lost}; fetch them again.")
    return folder


def _recorded(place: Path, folder: Path) -> Path | None:
    """The index that the place's record names, if the tables are still those it was made from."""
    try:
        record = json.loads(_record_file(place, folder).read_bytes())
        index, state = place / record["index"], record["tables"]
        touched = max(time for _, *times in state.values() for time in times)
        good = record["format"] == FORMAT and touched + _TICK < record["hashed"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # there is none, or it is another program's: it is written anew
    return index if good and state == _state(folder) and index.is_dir() else None


def _build(places: list[Path], place: Path, folder: Path) -> Path:
    """Hash the tables, build their index unless a place has it, and record it; under the lock."""
    hashed, state = time.time_ns(), _state(folder)
    hashes = {table: content_hash(table_file(folder, table)) for table in TABLES}
    key = hashlib.sha256(json.dumps([FORMAT, hashes], sort_keys=True).encode()).hexdigest()[:32]
    index = next((p / key for p in places if os.path.isdir(p / key)), place / key)
    if not index.is_dir():
        # A name of its own: a builder whose parent was killed may still write into the last one.
        partial = place / f"{PARTIAL}{os.getpid()}-{hashed}"
        partial.mkdir()
        try:
            _run(folder, partial, hashes)
            with suppress(OSError):  # another process without a lock was first
                os.rename(partial, index)
            if not index.is_dir():
                raise DataError(f"The index {partial} cannot be renamed to {index.name}.")
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    name = index.name if index.parent == place else str(index.absolute())
    record = {"format": FORMAT, "index": name, "hashed": hashed, "tables": state}
    with replacing(_record_file(place, folder)) as partial:
        partial.write_text(json.dumps(record, indent=1))
    return index


def _run(folder: Path, out: Path, hashes: dict[str, str]) -> None:
    path = filter(None, [str(Path(bev.__file__).parents[1]), os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [*BUILD, json.dumps([str(folder), str(out), hashes, usable_cores()])],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise DataError(
            done.stdout.strip()
            or f"Building the index of {folder} failed (exit status {done.returncode}; negative is"
            " the signal that ended it, such as -9 for too little memory)."
        )


def _state(folder: Path) -> dict[str, list[int]]:
    """Size, modification time and change time of each table, nanoseconds."""
    stats = {table: table_file(folder, table).stat() for table in TABLES}
    return {table: [s.st_size, s.st_mtime_ns, s.st_ctime_ns] for table, s in stats.items()}


def _record_file(place: Path, folder: Path) -> Path:
    """The record of a data root's tables; in a place that several roots share, one for each."""
    return place / f"{'-'.join(filter(None, [folder.name, owner(place, folder.parent)]))}.json"

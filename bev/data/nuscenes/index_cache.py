"""Cache of indexes: finds, validates and builds the index of a data set's tables.

The name of an index is a hash of the content of its tables, so it cannot be stale, and copied or
moved tables find it again. A small record next to the indexes avoids hashing gigabytes at every
start: it contains for each data root the name of its index and the size, modification time and
change time of every table. The record is invalid if one of the three differs, or if a table was
changed less than two seconds before it was hashed (two writes may fall on one tick of the file
system's clock). No program can set the change time back, so copies that preserve modification
times (rsync -t) are noticed too. A change that affects none of the three, such as on a disk altered
while it is not mounted, goes unnoticed.

Concurrency: a build holds a lock of the cache folder (see ``bev.data.storage.cache_place``); other
processes wait and then open the result. An index is written under a temporary name and renamed when
it is complete; files left by a killed build are removed by the next build. Opening an existing
index takes no lock and writes nothing. On a file system without locks several processes may build
the same index, and the first to finish provides it.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import bev
from bev.cores import usable_cores
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_build import build
from bev.data.nuscenes.splits import SPLITS_FILE
from bev.data.nuscenes.tables import TABLES, absent, content_hash, table_file, table_size
from bev.data.storage.cache_place import cache_places, locked, may_write, owner
from bev.data.storage.remote import local_folder, refresh
from bev.errors import DataError, shown
from bev.files import PARTIAL, open_plain, replacing
from bev.paths import inside, url_of
from bev.plain_json import load_json

FORMAT = 5  # increment with every change of the columns' content
BUILD = [sys.executable, "-m", "bev.data.nuscenes.index_build"]  # followed by the job
SMALL = 4 << 20  # bytes of tables up to which a build takes less time than a process to start
_LONGEST_RECORD = 1 << 16  # bytes
_KEY = re.compile("[0-9a-f]{32}")  # name of an index
_OF_MAPS = ("log", "map")  # tables besides those of the index
_TICK = 2e9  # nanoseconds, the coarsest clock of a file system (FAT)


def open_index(root: Path, version: str) -> Index:
    """Open the index of a data set; it is built first if it does not exist.

    Args:
        root: folder or URL of the data set.
        version: name of the tables' folder below ``root``.

    Raises:
        DataError: if the root or the version's folder is missing or incomplete, a table is
            damaged, or no location for the index is writable.
    """
    root = folder_with_tables(root, version)
    folder = _tables_folder(root, version)
    places = cache_places(root, "index")
    for number in range(len(places)):
        if (recorded := _recorded(places[: number + 1], folder)) is not None:
            return Index(recorded, root, version)
    for number, place in enumerate(places):
        if not may_write(place):
            continue
        try:
            lock = os.fdopen(open_plain(place / "lock", os.O_WRONLY | os.O_CREAT), "w")
        except OSError:  # the file belongs to another user, or is a link
            continue
        known = places[: number + 1]
        with lock, locked(lock) as held:
            if held:  # no other process is building, so partial files are from killed processes
                for partial in place.glob(f"{PARTIAL}*"):
                    shutil.rmtree(partial, ignore_errors=True)
                    with suppress(OSError):
                        partial.unlink()
            # Another process may have built it while this one waited.
            built = _recorded(known, folder) or _build(known, folder)
            return Index(built, root, version)
    raise DataError(
        f"No location for the index of {folder} is writable"
        f" ({', '.join(map(str, places))}); set BEV_CACHE to a writable folder."
    )


def folder_with_tables(root: Path, version: str) -> Path:
    """Local folder of a data root, with the tables of a version; the root itself if it is local.

    Raises:
        DataError: if the root is a URL that cannot be read or has no such version.
    """
    local = local_folder(root)
    if local == root:
        return root
    try:
        folder = inside(local, version or ".")
    except ValueError as error:
        raise DataError(f"{url_of(root)} has no version {shown(version)}: it {error}.") from error
    first, *others = (table_file(folder, name) for name in (*TABLES, *_OF_MAPS))
    for path in (first, *others, folder / SPLITS_FILE):
        refresh(path)
        if not first.is_file():
            raise DataError(
                f"{url_of(root)} has no tables of version {version}"
                f" ({version}/{first.name} is missing); set --data.root to the URL of"
                f" a folder that contains {version}/ and samples/, and --data.version."
            )
    return local


def _tables_folder(root: Path, version: str) -> Path:
    try:
        folder = inside(root, version or ".")
    except ValueError as error:
        raise DataError(f"Data root {root} has no version {shown(version)}: it {error}.") from error
    if not root.is_dir():
        remedy = f"set --data.root to a folder that contains {version}/, samples/ and maps/."
        if version == "v1.0-synthetic":
            remedy = f"generate it: bevlab make-synthetic {root}"
        raise DataError(f"Data root {root} does not exist; {remedy}")
    if not folder.is_dir():
        found = sorted(p.parent.name for p in root.glob("*/sample_data.json"))
        raise DataError(
            f"Data root {root} contains no version {version} (found: {', '.join(found) or 'none'});"
            " set --data.version."
        )
    missing = [
        f"{table}.json"
        for table in TABLES
        if not (table_file(folder, table).is_file() or absent(folder, table))
    ]
    if missing:
        raise DataError(
            f"The tables in {folder} cannot be opened ({', '.join(missing)} missing); download"
            " them again."
        )
    return folder


def _recorded(places: list[Path], folder: Path) -> Path | None:
    """The recorded index of a folder of tables, or None if the tables have changed since.

    Args:
        places: cache that has the record, after those that the record may name an index of: a
            user's cache names indexes of the shared one, which must not name a user's.
        folder: folder of the tables.
    """
    place = places[-1]
    try:
        with os.fdopen(open_plain(_record_file(place, folder), os.O_RDONLY), "rb") as file:
            record = load_json(file.read(_LONGEST_RECORD))
        index, state = place / record["index"], record["tables"]
        touched = max(time for _, *times in state.values() for time in times)
        good = record["format"] == FORMAT and touched + _TICK < record["hashed"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return None  # missing, or not written by this program: it will be rewritten
    known = index.parent in (place, *(other.absolute() for other in places))
    known &= _KEY.fullmatch(index.name) is not None
    return index if good and known and state == _state(folder) and _is_index(index) else None


def _is_index(index: Path) -> bool:
    """Return whether a path is a folder in a cache folder, and neither is a link."""
    return index.is_dir() and not (index.is_symlink() or index.parent.is_symlink())


def _build(places: list[Path], folder: Path) -> Path:
    """Hash the tables, build their index if no cache has it, and record it (under the lock).

    See :func:`_recorded` for the arguments.
    """
    place, hashed, state = places[-1], time.time_ns(), _state(folder)
    hashes = {
        table: hashlib.sha256(b"[]").hexdigest()
        if absent(folder, table)
        else content_hash(table_file(folder, table))
        for table in TABLES
    }
    key = hashlib.sha256(json.dumps([FORMAT, hashes], sort_keys=True).encode()).hexdigest()[:32]
    index = next((p / key for p in places if _is_index(p / key)), place / key)
    if index.is_symlink():
        index.unlink()
    if not index.is_dir():
        # A unique name: a build process whose parent was killed may still write to an older one.
        partial = place / f"{PARTIAL}{os.getpid()}-{hashed}"
        partial.mkdir()
        try:
            _run(folder, partial, hashes)
            with suppress(OSError):  # without locks another process may have finished first
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
    """Write the columns of the index to ``out``, for large tables in a separate process."""
    if sum(table_size(folder, table) for table in TABLES) <= SMALL:
        build(folder, out, hashes, cores=1)
        return
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
            or f"Building the index of {folder} failed (exit status {done.returncode}; a negative"
            " status is the signal that ended the process, e.g. -9 if it ran out of memory)."
        )


def _state(folder: Path) -> dict[str, list[int]]:
    """Size, modification time and change time of each table that there is, nanoseconds."""
    there = [table for table in TABLES if not absent(folder, table)]
    stats = {table: table_file(folder, table).stat() for table in there}
    return {table: [s.st_size, s.st_mtime_ns, s.st_ctime_ns] for table, s in stats.items()}


def _record_file(place: Path, folder: Path) -> Path:
    """Record file of a data root's tables; a shared cache folder has one per data root."""
    return place / f"{'-'.join(filter(None, [folder.name, owner(place, folder.parent)]))}.json"

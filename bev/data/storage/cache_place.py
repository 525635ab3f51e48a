"""Locations of caches: files derived from a data set, which may be deleted at any time.

A cache is a hidden folder of the data root if that is writable: all users and machines with access
to the data then share the cache, and it is deleted together with the data. For read-only data roots
it is in the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``). If ``$BEV_CACHE`` is set, it
names the folder of all caches instead. A folder without write permission for anybody is not used,
not even by the superuser.

Other users may write to a shared cache, so nothing in it leads out of it: a cache folder that is a
symbolic link is not used, and links, pipes and devices inside are neither read nor written to.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from bev.files import fcntl


def cache_places(root: Path, kind: str) -> list[Path]:
    """Candidate folders for a data root's cache of one kind, in order of preference."""
    if chosen := os.environ.get("BEV_CACHE"):
        return [Path(chosen) / kind]
    places = [root / f".{kind}"]
    with suppress(RuntimeError):  # a user without a home
        cache = os.environ.get("XDG_CACHE_HOME")
        places.append((Path(cache) if cache else Path.home() / ".cache") / "bev" / kind)
    return places


def owner(place: Path, root: Path) -> str:
    """Identifier of a data root among others that share a cache folder: a hash of its path.

    Empty for a cache inside the data root, which stays valid wherever the root is mounted.
    """
    return "" if place.parent == root else name_hash(str(root.resolve()))[:16]


def name_hash(name: str) -> str:
    """Hexadecimal hash of a path, in any locale; a file name's bytes need not be UTF-8."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def may_write(place: Path) -> bool:
    """Return whether a folder is writable and not a link; a missing folder is created."""
    try:
        if place.is_symlink():
            return False
        existing = next(p for p in (place, *place.absolute().parents) if p.exists())
        if existing.stat().st_mode & 0o222:
            place.mkdir(parents=True, exist_ok=True)
            return os.access(place, os.W_OK)
    except OSError:
        pass
    return False


@contextmanager
def locked(file: IO) -> Iterator[bool]:
    """Wait for and hold the lock of a file; the system releases it if the process dies.

    Yields False, without a lock, if the system or the file system does not support locks.
    """
    if fcntl is None:
        yield False
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)

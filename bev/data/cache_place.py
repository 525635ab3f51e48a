"""Where caches lie: what is made from a data set and may be deleted at any time.

Beside the data, in a hidden folder of the data root, where that can be written, so that every user
and machine that sees the data shares it and it goes when the data go; for data roots that cannot be
written, the user's cache folder (``$XDG_CACHE_HOME`` or ``~/.cache``). ``$BEV_CACHE``, where set,
names a folder that goes before both. A folder whose mode lets nobody write is left alone by the
superuser as well.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def cache_places(root: Path, kind: str) -> list[Path]:
    """Folders that may hold a data root's cache of this kind, the one to write to first."""
    if chosen := os.environ.get("BEV_CACHE"):
        return [Path(chosen) / kind]
    places = [root / f".{kind}"]
    with suppress(RuntimeError):  # a user without a home
        cache = os.environ.get("XDG_CACHE_HOME")
        places.append((Path(cache) if cache else Path.home() / ".cache") / "bev" / kind)
    return places


def owner(place: Path, root: Path) -> str:
    """What tells a data root from others that share a place: where it lies.

    Empty beside the data: these are the same wherever they are mounted.
    """
    path = str(root.resolve()).encode()
    return "" if place.parent == root else hashlib.sha256(path).hexdigest()[:16]


def may_write(place: Path) -> bool:
    """Whether a folder can be written to; it is made where it is not there yet."""
    try:
        there = next(p for p in (place, *place.absolute().parents) if p.exists())
        if there.stat().st_mode & 0o222:
            place.mkdir(parents=True, exist_ok=True)
            return os.access(place, os.W_OK)
    except OSError:
        pass
    return False


@contextmanager
def locked(file: IO) -> Iterator[bool]:
    """Hold a file's lock, once it is free; the system releases it when its holder dies.

    Gives False, and holds nothing, where the system or the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except (OSError, AttributeError):
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)

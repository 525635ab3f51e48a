"""Data on object storage: ``data.root`` may be a URL that fsspec reads, such as s3://bucket/data.

A folder on disk stands for the URL. Files get there when they are first read, and are then read
like those of any data set; the index of the tables and decoded images are kept there too. The
folder is in the cache (``bev.data.storage.cache_place``) and may be deleted at any time. Tables are
fetched again if their size has changed; other files are taken to stay as they are.

Each process finds the URL of a file in the cache, so dataloader workers fetch on their own; a file
that two of them fetch at once is written twice, whole.
"""

import errno
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from bev.data.storage.cache_place import cache_places, may_write, name_hash
from bev.errors import DataError, remedy_of
from bev.files import replacing
from bev.paths import file_name, url_of

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_MARK = ".url"  # file with the URL that a folder stands for
_LONGEST_URL = 4096


def local_folder(root: Path) -> Path:
    """Folder on disk that stands for a data root: the root itself, or that of a URL in the cache.

    Raises:
        DataError: if fsspec does not know the kind of URL or lacks a package for it, or if the
            cache is not writable.
    """
    url = url_of(root).rstrip("/")
    if not url:
        return root
    _opened(url)
    folder = _cache() / f"{file_name(root.name)[:40]}-{name_hash(url)[:16]}"
    if not may_write(folder):
        raise DataError(
            f"The cache of {url} cannot be written ({folder}); set BEV_CACHE to a writable folder."
        )
    if not (folder / _MARK).is_file():
        with replacing(folder / _MARK) as partial:
            partial.write_text(url, encoding="utf-8")
    return folder


def present(path: Path) -> Path:
    """The path of a file of a data set, which is fetched if its root is a URL; others unchanged.

    A file that does not exist is left to the caller, as on a disk.

    Raises:
        DataError: if the storage cannot be read, or the cache is full.
    """
    name = _name_in_cache(path)
    if name is not None and not path.is_file():
        _fetch(path, *name)
    return path


def refresh(path: Path) -> None:
    """Fetch a file again if the one in the storage has another length; no effect on local data.

    Without a connection, the file in the cache is used.

    Raises:
        DataError: if there is neither a file in the cache nor a connection.
    """
    name = _name_in_cache(path)
    if name is None:
        return
    if path.is_file():
        url, below = name
        try:
            system, top = _opened(url)
            length = system.info(f"{top}/{below}").get("size")
        except Exception:  # of any library: not reachable
            return
        if length in (None, path.stat().st_size):
            return
    _fetch(path, *name)


def _cache() -> Path:
    return cache_places(Path(), "remote")[-1]


def _name_in_cache(path: Path) -> tuple[str, str] | None:
    """URL of the root of a file in the cache, and the name of the file below it; otherwise None."""
    cache = _cache()
    if not path.is_relative_to(cache):
        return None
    folder, *parts = path.relative_to(cache).parts
    url = _url_in(cache / folder)
    return (url, "/".join(parts)) if url and parts and not parts[0].startswith(".") else None


@lru_cache(maxsize=64)
def _url_in(folder: Path) -> str:
    """URL that a folder of the cache stands for; empty for another folder."""
    try:
        with (folder / _MARK).open(encoding="utf-8") as file:
            return file.read(_LONGEST_URL)
    except (OSError, ValueError):
        return ""


def _opened(url: str) -> "tuple[AbstractFileSystem, str]":
    """File system of a URL, and the path of the URL in it; those of a parent are not used.

    Raises:
        DataError: see :func:`_open`.
    """
    return _open(url, os.getpid())


@lru_cache(maxsize=8)  # an archive reads its list of files once
def _open(url: str, process: int) -> "tuple[AbstractFileSystem, str]":
    """Open the file system of a URL.

    Raises:
        DataError: if the kind of URL is unknown, or needs a package that is missing.
    """
    from fsspec.core import url_to_fs

    try:
        system, top = url_to_fs(url)
    except ImportError as error:
        raise DataError(
            f"Data root {url} needs another package ({error}); install it with pip."
        ) from error
    except Exception as error:  # of any library
        raise DataError(
            f"Data root {url} cannot be opened ({_reason(error)}); give a folder, or a URL that"
            " fsspec reads, such as s3://bucket/folder."
        ) from error
    return system, top.rstrip("/")


def _fetch(path: Path, url: str, name: str) -> None:
    """Write a file of a storage to the cache, whole; one that does not exist is not written."""
    system, top = _opened(url)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with replacing(path) as partial:
            system.get_file(f"{top}/{name}" if top else name, str(partial))
    except FileNotFoundError:
        return
    except Exception as error:  # of any library
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DataError(
                f"File {url}/{name} does not fit into the cache, {_cache()} ({error.strerror});"
                f" {remedy_of(error)}, or set BEV_CACHE to a folder with more."
            ) from error
        raise DataError(
            f"File {url}/{name} cannot be read ({_reason(error)}); check the address, the"
            " connection and your access to it."
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]

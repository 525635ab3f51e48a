"""Atomic file writes: a file is replaced as a whole, or not at all if its writer is killed.

Files named by data are read only if they are regular: a named pipe or a device may never end. In
folders that others may write to, links are not followed either.
"""

import errno
import importlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None  # locks of the system; None on Windows, which has no such module
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:
    fcntl = None

PARTIAL = ".partial-"  # prefix of the names of files that are being written
_STALE = 86_400  # seconds after which the writer of a partial file is taken for dead


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path`` that replaces ``path`` when the block ends.

    After an error ``path`` is unchanged and the temporary file is removed. A killed process leaves
    a file whose name begins with ``PARTIAL``, see :func:`remove_stale`. Each writer has a temporary
    file of its own, also among machines, so if several write the same ``path``, the last one to
    finish replaces it with a whole file.

    Args:
        path: file in an existing folder; the temporary file has the same suffix.
    """
    # Processes of several machines or containers that share a disk may have the same number.
    partial = path.with_name(f"{PARTIAL}{secrets.token_hex(6)}-{path.name}")
    partial.unlink(missing_ok=True)  # a link that another planted would be written through
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Remove the files that writers in a folder left when they were killed, a day ago or earlier.

    Links are removed, not followed. A folder that does not exist is left alone.
    """
    for partial in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError):
            if is_stale(partial):
                partial.unlink()


def is_stale(path: Path) -> bool:
    """Return whether a file or link was last written a day ago or earlier."""
    return path.lstat().st_mtime + _STALE < time.time()


def regular_length(path: Path) -> int:
    """Length of a regular file in bytes, without opening the file.

    Raises:
        OSError: if there is no such file, or it is a folder, a named pipe, a socket or a device.
    """
    try:
        found = path.stat()
    except ValueError as error:  # a name with a null character
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found.st_size


def open_plain(path: Path, flags: int) -> int:
    """Open a regular file, for a folder that others may write to; returns the descriptor.

    Args:
        path: file; its folder is trusted.
        flags: flags of :func:`os.open`.

    Raises:
        OSError: if the file cannot be opened, or is a symbolic link, a pipe or a device.
    """
    extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe would wait
    descriptor = os.open(path, flags | extra | getattr(os, "O_BINARY", 0), 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return descriptor

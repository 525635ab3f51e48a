"""Lock of a run folder: one run at a time writes to it, on whatever machine.

The lock is a record lock of the system (``lockf``). It ends with the process, however that ends,
and is not inherited by dataloader workers, which may outlive a killed process for some seconds. A
file left behind therefore locks nothing. Where the system or the file system has no locks, folders
of runs without a name are still separate, because they are created by an atomic ``mkdir``.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bev.errors import TrainingError
from bev.files import fcntl

LOCK = ".lock"

_held: set[Path] = set()  # record locks do not conflict within a process


@contextmanager
def locked_run(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder.

    Raises:
        TrainingError: if another run holds it.
    """
    folder = folder.resolve()
    if folder in _held:
        raise TrainingError(_in_use(folder, "a run of this process"))
    descriptor = _acquire(folder)
    _held.add(folder)
    try:
        yield
    finally:
        _held.discard(folder)
        if descriptor is not None:
            os.close(descriptor)


def _acquire(folder: Path) -> int | None:
    """Lock the file of a folder; returns its descriptor, None where locks are not supported."""
    if fcntl is None:
        return None
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise TrainingError(
            f"Run folder {folder} cannot be written to ({error.strerror}); make it writable, or"
            " choose another --train.runs."
        ) from error
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        owner = os.pread(descriptor, 300, 0).decode(errors="replace") or "another process"
        os.close(descriptor)
        raise TrainingError(_in_use(folder, owner)) from error
    except OSError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
    return descriptor


def _in_use(folder: Path, owner: str) -> str:
    return (
        f"Run folder {folder} is in use by {owner}; choose another --train.run-name, or wait until"
        " that run has ended."
    )

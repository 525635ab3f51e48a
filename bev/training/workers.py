"""Dataloader workers: how many this machine has room for, how they send batches, how they end.

A worker sends a batch through shared memory (``/dev/shm`` on Linux, 64 MB in Docker by default).
A batch that does not fit would get lost in a thread of the worker, and training would wait for it
forever. So the number of workers is limited to those whose batches fit, and a worker moves its
batch to shared memory before it hands it over, where a failure reaches the training process. The
number of workers changes no result: samples and their augmentation depend on the seed alone.
"""

import multiprocessing
import multiprocessing.util
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from bev.cores import usable_cores
from bev.data.batch import Batch, collate
from bev.data.settings import DataConfig
from bev.errors import DataError, print_warnings
from bev.machine import rank

SHARED_MEMORY = Path("/dev/shm")

PREFETCH = 2  # batches that each worker prepares in advance
_REST = 2**20  # bytes of a sample besides its images: lidar points, boxes, polygons
_OWN_FILES = 512  # open files of a process besides those of batches
_SOCKET = len("/listener-xxxxxxxx") + 1  # bytes that multiprocessing appends to its folder
_LONGEST_SOCKET = 104  # bytes of a socket's path: 108 on Linux, 104 on macOS

# Seconds that a dataloader worker survives SIGTERM, so that the current step can be finished.
_GRACE = 60
# Signal that ends a worker at once and quietly. Windows has no alarms: workers end at once there.
_END = getattr(signal, "SIGALRM", signal.SIGTERM)


def worker_count(config: DataConfig, processes: int) -> int:
    """Number of workers of a dataloader: as set, or by the number of cores; fewer if memory lacks.

    Args:
        config: data settings.
        processes: number of training processes that share this machine.

    Raises:
        DataError: if there are to be workers, and no temporary folder for their sockets.
    """
    workers = config.workers
    if workers < 0:
        # Leave one core per process; with two cores or fewer, load in the process itself.
        cores = usable_cores() // processes
        workers = 0 if cores <= 2 else min(cores - 1, 8)
    fitting = min(workers, _room(config, processes))
    if fitting < workers:
        _warn_of_few(workers, fitting, (PREFETCH * workers + 1) * batch_bytes(config) * processes)
    if fitting:
        _check_temporary_folder()
        _allow_open_files((PREFETCH * fitting + 2) * _tensors(config) + _OWN_FILES)
    return fitting


def batch_bytes(config: DataConfig) -> int:
    """Size of a batch in shared memory, bytes, estimated from above."""
    height, width = config.image_size
    images = len(config.camera_names) * (1 + len(config.adjacent.offsets()))
    return config.batch_size * (images * 3 * height * width + _REST)


def shared_collate(samples: Sequence[Batch]) -> Batch:
    """Join samples; in a worker, the tensors of the batch are in shared memory.

    Raises:
        DataError: if it is full.
    """
    batch = collate(samples)
    if get_worker_info() is None:
        return batch
    try:
        for tensor in _tensors_of(batch):
            tensor.share_memory_()
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"A batch does not fit into shared memory ({str(error).splitlines()[0]}); set a lower"
            " --data.workers, or 0, raise the limit of open files (ulimit -n), or in Docker start"
            " with a larger --shm-size."
        ) from error
    return batch


@contextmanager
def ending_workers() -> Iterator[None]:
    """Context in which an error also ends, at once, the dataloader workers started in it.

    Raises:
        DataError: if the system ended a worker.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except BaseException as error:
        for process in set(multiprocessing.active_children()) - before:
            if process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, _END)
        if isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker"):
            raise DataError(
                f"The system ended a dataloader worker ({str(error).splitlines()[0]}): memory or"
                f" {SHARED_MEMORY} is full; set a lower --data.workers, or 0, or in Docker start"
                " with a larger --shm-size."
            ) from error
        raise


def start_worker(worker: int) -> None:
    """Set up a dataloader worker: one thread, and delayed reaction to stop signals.

    A signal to the whole run must not end the worker before the training process has stopped.
    """
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE))
        # Torch would report any other exit status as an error of the worker.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))


def _room(config: DataConfig, processes: int) -> int:
    """Number of workers whose batches fit into the free shared memory, besides one in use."""
    if not SHARED_MEMORY.is_dir():
        return sys.maxsize  # other systems have no such limit
    batches = shutil.disk_usage(SHARED_MEMORY).free // processes // batch_bytes(config)
    return max((batches - 1) // PREFETCH, 0)


def _tensors(config: DataConfig) -> int:
    """Number of tensors in a batch, each of which may be an open file, estimated from above."""
    return 12 * config.batch_size + 10 * (2 + len(config.adjacent.offsets()))


def _tensors_of(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.numel():
            yield value
    elif is_dataclass(value):
        for f in fields(value):
            yield from _tensors_of(getattr(value, f.name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors_of(item)


def _check_temporary_folder() -> None:
    """Create the folder of the workers' sockets, which they inherit."""
    try:
        folder = multiprocessing.util.get_temp_dir()
    except OSError as error:
        raise DataError(
            f"No temporary folder can be written to, and dataloader workers need one ({error});"
            " free space, set TMPDIR to a writable folder, or set --data.workers 0."
        ) from error
    if hasattr(os, "fork") and len(os.fsencode(folder)) + _SOCKET > _LONGEST_SOCKET:
        raise DataError(
            f"The path of the temporary folder {folder} is too long for sockets of dataloader"
            " workers; set TMPDIR to a shorter one, or set --data.workers 0."
        )


def _allow_open_files(need: int) -> None:
    """Raise this process's limit of open files; if that is not allowed, share memory by name."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= need:
        return
    if hard == resource.RLIM_INFINITY or hard >= need:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
            return
    torch.multiprocessing.set_sharing_strategy("file_system")  # keeps no file open


@cache  # once for the loaders of training and of validation
def _warn_of_few(workers: int, fitting: int, need: int) -> None:
    if rank() == 0:
        free = shutil.disk_usage(SHARED_MEMORY).free / 2**20
        print_warnings(
            [
                f"{SHARED_MEMORY} has {free:.0f} MiB free and {workers} dataloader workers may need"
                f" {need / 2**20:.0f} MiB, so {fitting} are used; in Docker, start with"
                f" --shm-size {-(-need // 2**30)}g."
            ]
        )

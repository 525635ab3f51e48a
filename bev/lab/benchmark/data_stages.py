"""Time of each stage of loading a sample.

The functions that make a sample are wrapped while they run. Each is charged with its own time,
without that of wrapped functions that it calls; the remaining time is the stage ``rest``.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from statistics import median
from unittest.mock import patch

import torch

from bev.data import dataset
from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.images import loading as images
from bev.data.nuscenes import frames as nuscenes

PATH = {
    "frame": (nuscenes, "read_frame"),
    "draw": (dataset, "draw"),
    "read": (images, "read"),
    "decode": (images, "decode"),
    "warp": (images, "warp"),
    "photometric": (dataset, "change_colours"),
    "mask": (dataset, "hide_squares"),
}
"""Timed functions: module and name of the function, by stage."""


def stage_seconds(
    data: KeyFrames,
    targets: Callable[[list], object],
    keys: list[tuple[int, int]],
    device: torch.device,
    seconds: float,
) -> dict[str, float]:
    """Time per sample of each stage, seconds: the median over passes of the mean over ``keys``.

    The stages are those of :data:`PATH`, ``rest`` (the remaining time of loading a sample),
    ``targets`` of its boxes, ``collate`` and ``transfer`` to the device.

    Args:
        data: dataset to load from.
        targets: function from the boxes of a batch to the targets of the head.
        keys: (epoch, index) of the samples of a pass.
        device: device of the transfer.
        seconds: time after which no new pass starts, seconds; at least 3 passes are measured.
    """
    passes: list[dict[str, float]] = []
    begin = time.perf_counter()
    while len(passes) < 4 or time.perf_counter() - begin < seconds:
        watch = Stopwatch()
        with watch.wrapping(PATH):
            samples = [watch.timed("rest", data.__getitem__)(key) for key in keys]
        for sample in samples:
            watch.timed("targets", targets)(sample.boxes)
        batch = watch.timed("collate", collate)(samples)
        if device.type == "cuda":
            batch = batch.pin_memory()
        watch.timed("transfer", _transfer)(batch, device)
        passes.append(watch.seconds)
    names = [*PATH, "rest", "targets", "collate", "transfer"]
    # The first pass is a warm-up of file and code caches.
    return {n: median(p.get(n, 0.0) for p in passes[1:]) / len(keys) for n in names}


def _transfer(batch: dataset.Batch, device: torch.device) -> None:
    batch.to(device, non_blocking=True)
    if device.type == "cuda":
        torch.cuda.synchronize()


class Stopwatch:
    """Accumulates time by name; nested timed calls are not charged to their caller.

    Attributes:
        seconds: accumulated time by name, seconds.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]  # stack: time of timed calls within each running call

    def timed(self, name: str, function: Callable) -> Callable:
        """Wrap a function so that its time is charged to ``name``."""

        @wraps(function)
        def work(*args, **kwargs):
            self._inner.append(0.0)
            begin = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - begin
                own = taken - self._inner.pop()
                self._inner[-1] += taken
                self.seconds[name] = self.seconds.get(name, 0.0) + own

        return work

    @contextmanager
    def wrapping(self, functions: Mapping[str, tuple[object, str]]) -> Iterator[None]:
        """Context in which all calls of the functions, given as (module, name), are timed."""
        with ExitStack() as stack:
            for name, (module, function) in functions.items():
                wrapped = self.timed(name, getattr(module, function))
                stack.enter_context(patch.object(module, function, wrapped))
            yield

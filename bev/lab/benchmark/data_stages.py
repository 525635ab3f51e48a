"""Where the time of making a sample goes, measured on the sample path itself.

The idea: the functions that the path calls are wrapped while it runs, and each is charged with the
time that it takes without those of them that it calls. What is left is the path's own.
"""

import time
from collections.abc import Callable, Iterator
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
"""What is charged by name: a module and the function in it that the path calls."""


def stage_seconds(
    data: KeyFrames,
    targets: Callable[[list], object],
    keys: list[tuple[int, int]],
    device: torch.device,
    seconds: float,
) -> dict[str, float]:
    """Seconds of a sample by stage, median over passes of the mean over ``keys``.

    The stages are those of :data:`PATH`, ``rest`` of making the sample, and then ``targets`` of its
    boxes, ``collate`` and ``transfer`` to the device.

    Args:
        targets: from the list of a batch's boxes to what the head learns.
        seconds: no new pass is begun after this time; there are at least 3.
    """
    passes, begin = [], time.perf_counter()
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
    # The first pass finds files and code cold.
    return {n: median(p.get(n, 0.0) for p in passes[1:]) / len(keys) for n in names}


def _transfer(batch: dataset.Batch, device: torch.device) -> None:
    batch.to(device, non_blocking=True)
    if device.type == "cuda":
        torch.cuda.synchronize()


class Stopwatch:
    """Time by name; a function that is called by a timed one is not charged to its caller.

    Attributes:
        seconds: by name.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inner = [0.0]  # of timed calls within each call that is under way

    def timed(self, name: str, function: Callable) -> Callable:
        """The function, charged to ``name``."""

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
    def wrapping(self, functions: dict[str, tuple[object, str]]) -> Iterator[None]:
        """While it is open, these functions (module, name) are timed wherever they are called."""
        with ExitStack() as stack:
            for name, (module, function) in functions.items():
                wrapped = self.timed(name, getattr(module, function))
                stack.enter_context(patch.object(module, function, wrapped))
            yield

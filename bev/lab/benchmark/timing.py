"""Times and memory of functions, measured so that their ratios mean something."""

import gc
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

Work = Callable[[], object]

_AHEAD = 4_000_000  # cycles, some 2 ms, that a GPU waits while its work is queued


def median_seconds(
    works: dict[str, Work], device: torch.device, rounds: int = 15, seconds: float = 4.0
) -> dict[str, float]:
    """Median time of each function, seconds, taken in turns so that all share the machine's moods.

    Args:
        works: functions by name; each is run once before it counts.
        rounds: turns at least 3 and at most this many.
        seconds: no new turn is begun after this time.
    """
    for work in works.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in works}
    begin = time.perf_counter()
    for turn in range(rounds):
        if turn >= 3 and time.perf_counter() - begin > seconds:
            break
        for name, work in works.items():
            # A fast function beside a slow one finds the caches swept: warm again, then measure.
            work()
            taken[name].append(_once(work, device))
    return {name: statistics.median(times) for name, times in taken.items()}


def _once(work: Work, device: torch.device) -> float:
    if device.type != "cuda":
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    torch.cuda._sleep(_AHEAD)  # or what is measured is Python, which launches kernels one by one
    first.record()
    work()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1000


def copy_bandwidth(device: torch.device, size: int = 2**28) -> float:
    """Bytes a second that the device reads and writes when it copies ``size`` bytes."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / median_seconds({"copy": lambda: target.copy_(source)}, device)["copy"]


def peak_bytes(work: Work, device: torch.device) -> int:
    """Most memory that ``work`` holds above what was held before it began.

    On a CPU the peaks of tensors and of numpy's arrays, which need not come at once, added up.
    """
    work()  # what is made once and kept does not count
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else it prints a line at each start and stop
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        result = work()
    del result
    held = peak = 0
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak + _python_peak(work)


def _python_peak(work: Work) -> int:
    """Most memory that ``work`` holds in Python's objects and numpy's arrays."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

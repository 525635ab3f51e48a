"""Time and memory of functions, measured so that they can be compared."""

import gc
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping

import torch
from torch.profiler import ProfilerActivity, profile

Work = Callable[[], object]

_LONG = 0.5  # seconds; functions that take longer are measured without a call to warm up
_AHEAD = 4_000_000  # cycles, about 2 ms, for which a GPU sleeps while kernels are queued


def median_seconds(
    works: Mapping[str, Work], device: torch.device, rounds: int = 15, seconds: float = 4.0
) -> dict[str, float]:
    """Median time of each function, seconds; the arguments are those of :func:`each_seconds`."""
    taken = each_seconds(works, device, rounds, seconds)
    return {name: statistics.median(times) for name, times in taken.items()}


def each_seconds(
    works: Mapping[str, Work],
    device: torch.device,
    rounds: int = 15,
    seconds: float = 4.0,
    least: int = 3,
) -> dict[str, list[float]]:
    """Times of each function, seconds, in the order of the rounds.

    Each round runs all functions in turn, so that changes in the load of the machine affect all.

    Args:
        works: functions by name; each is run once before the first round.
        device: device that the functions run on.
        rounds: maximum number of rounds.
        seconds: time after which no new round starts, seconds.
        least: number of rounds that are run in any case.
    """
    first = {name: _elapsed(work) for name, work in works.items()}
    taken: dict[str, list[float]] = {name: [] for name in works}
    begin = time.perf_counter()
    for turn in range(rounds):
        if turn >= least and time.perf_counter() - begin > seconds:
            break
        for name, work in works.items():
            if first[name] < _LONG:
                work()  # warms the caches up, which the other functions have evicted
            taken[name].append(_once(work, device))
    return taken


def _elapsed(work: Work) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _once(work: Work, device: torch.device) -> float:
    if device.type != "cuda":
        return _elapsed(work)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    torch.cuda._sleep(_AHEAD)  # else the launches of kernels from Python would be measured
    first.record()
    work()
    last.record()
    torch.cuda.synchronize()
    return first.elapsed_time(last) / 1000


def copy_bandwidth(device: torch.device, size: int = 2**28) -> float:
    """Bandwidth of copying ``size`` bytes: bytes read and written per second."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / median_seconds({"copy": lambda: target.copy_(source)}, device)["copy"]


def product_flops(device: torch.device, dtype: torch.dtype, size: int) -> float:
    """FLOPs per second of the product of two matrices of ``size`` x ``size``."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    # Convolutions of float32 run in TF32 by torch's default; the same rate is the ceiling.
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        seconds = median_seconds({"product": lambda: torch.mm(a, b)}, device, rounds=7)
    finally:
        torch.set_float32_matmul_precision(before)
    return 2 * size**3 / seconds["product"]


def peak_bytes(work: Work, device: torch.device) -> int:
    """Peak memory of ``work`` above that in use before it started, bytes.

    On a CPU, the sum of the peaks of tensors and of numpy arrays, which may occur at different
    times.
    """
    work()  # excludes memory that is allocated once and kept
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # no output at each start and stop
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
    """Peak memory of ``work`` in Python objects and numpy arrays, bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

"""CPU cores of this machine, without torch."""

import os


def usable_cores() -> int:
    """Number of CPU cores that this process may run on (its affinity)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

"""Hardware of this machine: usable CPU cores, compute devices and memory."""

import os
import re
from pathlib import Path

import torch


def usable_cores() -> int:
    """Number of CPU cores that this process may run on (its affinity)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_device() -> torch.device:
    """The first available device of CUDA, Apple's GPU (MPS) and the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_name() -> str:
    """Name of the default device, e.g. "NVIDIA H100 80GB HBM3", or "cpu"."""
    device = default_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def has_fast_bf16() -> bool:
    """Return whether the default device multiplies bfloat16 matrices in hardware.

    CPUs need AMX for this: a training step of ``configs/lss_synthetic.py`` then takes 0.55 of the
    time that it takes in float32.
    """
    kind = default_device().type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return kind == "cpu" and "amx_bf16" in cpu_flags()


def cpu_flags() -> set[str]:
    """What Linux lists of the CPU's abilities; nothing elsewhere. Not every torch can be asked."""
    listed = Path("/proc/cpuinfo")
    found = re.search(r"^flags\s*:(.*)$", listed.read_text(), re.M) if listed.exists() else None
    return set(found[1].split()) if found else set()


def local_processes(wanted: int) -> int:
    """Number of training processes on this machine: torchrun's number, otherwise one per GPU.

    Args:
        wanted: requested number; 0 for one process per GPU, or one process on a CPU. It is limited
            to the number of GPUs; on a CPU any number is allowed.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["LOCAL_WORLD_SIZE"])
    kind = default_device().type
    if kind == "cpu":
        return wanted or 1
    devices = torch.cuda.device_count() if kind == "cuda" else 1
    return min(wanted or devices, devices)


def threads_a_process(wanted: int, processes: int) -> int:
    """Number of CPU threads per process: ``wanted``, or an equal share of the cores if it is 0."""
    return wanted or max(usable_cores() // processes, 1)


def peak_memory() -> int:
    """Peak memory of this process so far, bytes.

    On a CUDA GPU this is the memory that PyTorch allocated for tensors, otherwise the resident
    memory of the process (0 on systems without ``/proc``).
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")  # getrusage would include memory of the parent process
    match = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return 1024 * int(match[1]) if match else 0

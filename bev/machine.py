"""What this machine offers: cores that this process may use, and devices to compute on."""

import os
import re
from pathlib import Path

import torch


def usable_cores() -> int:
    """CPU cores that this process may run on (its affinity), not all that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_device() -> torch.device:
    """CUDA, Apple's GPU or the CPU, by what is there."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_name() -> str:
    """The default device's name, e.g. "NVIDIA H100 80GB HBM3", or "cpu"."""
    device = default_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def has_fast_bf16() -> bool:
    """Whether the default device multiplies bf16 matrices in hardware.

    On a CPU that is AMX: a training step of ``configs/lss_synthetic.py`` takes 0.55 of its time in
    float32 there.
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
    """Training processes on this machine: torchrun's number, else one a GPU.

    Args:
        wanted: 0 for all GPUs (one process without any). More than there are GPUs gives all of
            them; without a GPU any number of CPU processes can be had.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return int(os.environ["LOCAL_WORLD_SIZE"])
    kind = default_device().type
    if kind == "cpu":
        return wanted or 1
    here = torch.cuda.device_count() if kind == "cuda" else 1
    return min(wanted or here, here)


def threads_a_process(wanted: int, processes: int) -> int:
    """CPU threads of each of some processes: ``wanted``, or for 0 its share of the cores."""
    return wanted or max(usable_cores() // processes, 1)


def peak_memory() -> int:
    """Most memory that this process has used so far, bytes.

    On a GPU what torch's tensors took there, else the process' resident memory (0 where the system
    has no ``/proc``).
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")  # getrusage would tell of the parent's memory, too
    found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text()) if status.exists() else None
    return 1024 * int(found[1]) if found else 0

"""Hardware of this machine: usable CPU cores, compute devices and memory."""

import ctypes
import os
import re
from pathlib import Path
from typing import Literal

import torch

from bev.cores import usable_cores

# Variables of torchrun and srun that differ between the processes of a run, or count them.
_OF_LAUNCHERS = re.compile(
    "(RANK|LOCAL_RANK|WORLD_SIZE|LOCAL_WORLD_SIZE|MASTER_ADDR|MASTER_PORT"
    "|SLURM_(PROCID|LOCALID|NODEID))$|TORCHELASTIC_|GROUP_(RANK|WORLD)|ROLE_(RANK|WORLD|NAME)|SLURM_STEP_"
)


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
    """Feature flags of the CPU from ``/proc/cpuinfo``; not all versions of PyTorch list them.

    Empty on systems other than Linux.
    """
    info = Path("/proc/cpuinfo")
    match = re.search(r"^flags\s*:(.*)$", info.read_text(), re.M) if info.exists() else None
    return set(match[1].split()) if match else set()


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for later tensors; returns whether it does.

    glibc returns each large tensor to the system when it is freed, which then clears the memory of
    the next one page by page: a third of a prediction of a small network on a CPU. No effect
    elsewhere, and with another allocator.
    """
    mmap_max, trim_threshold = -4, -1  # parameters of mallopt(3)
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(mmap_max, 0) and mallopt(trim_threshold, 2**31 - 1))


def started_by() -> Literal["torchrun", "srun", ""]:
    """Program that started all processes of a run; empty if this process is the only one so far.

    srun counts if its job step has several tasks: the variables of a SLURM job, such as
    ``SLURM_NTASKS``, are also set in batch scripts, where one process runs.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return "torchrun"
    return "srun" if os.environ.get("SLURM_STEP_NUM_TASKS", "1") != "1" else ""


def launched_alone() -> dict[str, str]:
    """Environment for a process that is a run of its own, whatever has started this process.

    It lacks the variables by which torchrun and srun number the processes of one run.
    """
    if not started_by():
        return dict(os.environ)
    return {name: value for name, value in os.environ.items() if not _OF_LAUNCHERS.match(name)}


def rank() -> int:
    """Number of this process among all of the run, also before they are connected; 0 if alone."""
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return int(next((os.environ[name] for name in names if name in os.environ), 0))


def local_processes(wanted: int) -> int:
    """Number of training processes on this machine: the launcher's, otherwise the requested one.

    Args:
        wanted: requested number; 0 for one process per GPU, or one process without GPUs.
    """
    launcher = started_by()
    if launcher == "torchrun":
        return int(os.environ["LOCAL_WORLD_SIZE"])
    if launcher == "srun":  # such as 2(x3), two tasks on each of three nodes
        tasks = os.environ.get("SLURM_STEP_TASKS_PER_NODE", os.environ["SLURM_STEP_NUM_TASKS"])
        return int(re.split(r"\D", tasks, maxsplit=1)[0])
    return wanted or (torch.cuda.device_count() if default_device().type == "cuda" else 1)


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

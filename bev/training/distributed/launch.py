"""Processes of a run: torchrun, srun, or Lightning starts them; and what this machine has for them.

Lightning takes any SLURM job for one whose processes ``srun`` has started: a batch script without
``srun``, or one task for several devices, would train in one process, or wait forever for others.
Here, only a job step of several tasks counts as started by ``srun``; in any other SLURM job, batch
or interactive, the processes of all devices are started as on any machine.
"""

import os
import sys
from pathlib import Path

import torch
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
)

from bev.errors import TrainingError
from bev.machine import default_device, local_processes, started_by
from bev.training.settings import TrainConfig

SHARDED = ("fsdp", "deepspeed")  # beginnings of the names of strategies that divide the weights


def machines() -> int:
    """Number of nodes of the run, from torchrun or srun; otherwise 1."""
    variable = {"torchrun": "GROUP_WORLD_SIZE", "srun": "SLURM_STEP_NUM_NODES"}.get(started_by())
    return int(os.environ.get(variable or "", 1))


def environment(devices: int, flag: str = "--train.devices") -> list[ClusterEnvironment]:
    """Lightning plugin for the launcher of this process; none for torchrun, which it detects.

    Args:
        devices: number of processes on this machine.
        flag: flag that sets their number where one task starts them, for messages.

    Raises:
        TrainingError: if srun or torchrun started a number of tasks that Lightning does not accept.
    """
    launcher = started_by()
    if launcher == "torchrun":
        count = int(os.environ["WORLD_SIZE"])
        if count != devices * machines():
            raise TrainingError(
                f"torchrun started {count} processes on {machines()} machines, {devices} of them on"
                " this one; give it the same --nproc-per-node on all machines."
            )
        return []
    if launcher == "":
        return [LightningEnvironment()]
    try:
        cluster = SLURMEnvironment(auto_requeue=False)
        cluster.validate_settings(devices, machines())
    except (RuntimeError, ValueError) as error:
        wanted = {"ntasks-per-node": "SLURM_NTASKS_PER_NODE", "nodes": "SLURM_NNODES"}
        given = [f"--{flag} is {os.environ.get(name, 'not set')}" for flag, name in wanted.items()]
        raise TrainingError(
            f"srun started {devices} tasks on each of {machines()} nodes, but {', '.join(given)};"
            f" give srun both flags, or start one task and set {flag}."
        ) from error
    return [cluster]


def machine_faults(config: TrainConfig) -> list[str]:
    """Sentences on settings that ask for more than this machine, or this session, has."""
    found = []
    cores = os.cpu_count() or 1
    if config.threads > cores:
        found.append(
            f"train.threads is {config.threads}, and this machine has {cores} cores; set"
            " --train.threads 0 for an equal share of them."
        )
    if config.strategy.startswith(SHARDED):
        processes = local_processes(config.devices) * machines()
        kind = default_device().type
        if kind != "cuda" or processes < 2:
            what = f"{processes} process" if kind == "cuda" else f"a machine without GPUs ({kind})"
            found.append(
                f"train.strategy {config.strategy!r} divides the weights among two or more GPUs,"
                f" and this is {what}; set --train.strategy auto."
            )
    return found + device_faults(config.devices, "train.devices", "bevlab train")


def device_faults(devices: int, name: str, command: str) -> list[str]:
    """Sentences on a number of processes that cannot be started on this machine.

    Args:
        devices: number of processes.
        name: name of the setting.
        command: command to run in a terminal instead.
    """
    found = []
    there, kind = _devices()
    if not started_by() and devices > there:
        found.append(
            f"{name} is {devices}, and this machine has {there} {kind}; set"
            f" --{name} 0 for the usual number."
        )
    elif not started_by() and local_processes(devices) > 1 and not _can_start():
        found.append(
            f"Several processes ({name}) cannot be started from a notebook or an interactive"
            f" Python; set --{name} 1, or run `{command}` in a terminal."
        )
    return found


def _devices() -> tuple[int, str]:
    """Largest number of processes for this machine, and what it counts."""
    kind = default_device().type
    if kind == "cuda":
        return torch.cuda.device_count(), "GPUs"
    if kind == "mps":
        return 1, "GPU"
    # Two processes may always share a core, to try out what several devices do.
    return max(os.cpu_count() or 1, 2), "cores"


def _can_start() -> bool:
    """Return whether the running program can be started again, for further processes."""
    interactive = hasattr(sys, "ps1") or bool(sys.flags.interactive)
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return not interactive and (spec is not None or Path(sys.argv[0]).is_file())

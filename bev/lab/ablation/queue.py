"""Run a study: each run a process of its own, one after another or one a GPU.

A process of its own, because a run that crashes (or runs out of memory) is then a line in the table
and not the end of the study.
"""

import os
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bev.errors import ConfigError
from bev.lab.ablation.study import Run


@dataclass
class _Job:
    run: Run
    process: subprocess.Popen
    slot: dict[str, str]
    begin: float


def gpu_slots() -> list[dict[str, str]]:
    """The environment of a process for each GPU that this one may use.

    Raises:
        ConfigError: where there is none.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    names = names or [str(number) for number in range(torch.cuda.device_count())]
    if not torch.cuda.is_available():
        raise ConfigError("--one-per-gpu finds no GPU; leave it out to run one after another.")
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names]


def check_data(runs: Sequence[Run]) -> None:
    """Raise ConfigError where a run's data are not there: a rehearsal would compare nothing."""
    for run in runs:
        root = run.config.data.root
        if not root.is_dir():
            raise ConfigError(
                f"Variant {run.variant!r} needs data in {root}, which does not exist; set"
                " --data.root (bevlab make-synthetic makes a world)."
            )


def run_all(runs: Sequence[Run], slots: Sequence[dict[str, str]] = ({},)) -> list[Run]:
    """Run what is not finished; a failing run does not stop the others.

    Args:
        runs: in the order in which they start; their plans are written.
        slots: the environment of each process that may run at a time.

    Returns:
        The runs that failed.
    """
    waiting = deque(run for run in runs if not run.finished)
    for run in runs:
        if run.finished:
            print(f"finished before: {run.name}", flush=True)
    free, active, failed = list(slots), [], []
    total, started = len(waiting), 0
    try:
        while waiting or active:
            while waiting and free:
                started += 1
                active.append(_start(waiting.popleft(), free.pop(0), f"[{started}/{total}]"))
            for job in [job for job in active if job.process.poll() is not None]:
                active.remove(job)
                free.append(job.slot)
                minutes = (time.perf_counter() - job.begin) / 60
                if job.run.finished:
                    print(f"finished: {job.run.name} in {minutes:.1f} minutes", flush=True)
                else:
                    failed.append(job.run)
                    status = f"exit status {job.process.returncode}"
                    why = job.run.error or f"stopped without an error after: {job.run.last_line}"
                    print(f"FAILED: {job.run.name} ({status}): {why}", flush=True)
            time.sleep(0.1)
    finally:  # an interrupted study leaves no run behind; each goes on from its last checkpoint
        for job in active:
            _end(job.process)
    return failed


def printed(run: Run) -> str:
    """The run's command, for a shell in this folder, on any machine."""
    return shlex.join(["bevlab", *run.arguments()])


def _start(run: Run, slot: dict[str, str], number: str) -> _Job:
    verb = "goes on" if run.begun else "starts"
    print(f"{number} {verb}: {run.name} (log: {run.log})", flush=True)
    run.log.parent.mkdir(parents=True, exist_ok=True)
    log: Path = run.log
    with log.open("w") as file:
        process = subprocess.Popen(
            run.command(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **slot},
            start_new_session=True,  # it may start processes of its own, which end with it
        )
    return _Job(run, process, slot, time.perf_counter())


def _end(process: subprocess.Popen) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.terminate()
    process.wait()

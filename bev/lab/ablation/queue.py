"""Execution of a study: each run in its own process, one after another or one per GPU.

With a process per run, a run that crashes or runs out of memory becomes a line in the table and
does not end the study.
"""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from bev.errors import ConfigError
from bev.lab.ablation.study import Run
from bev.machine import launched_alone
from bev.paths import url_of


@dataclass
class Job:
    """Process of a run, with its additional environment variables and its start."""

    run: Run
    process: subprocess.Popen
    slot: dict[str, str]
    begin: float


def gpu_slots() -> list[dict[str, str]]:
    """Environment variables of one process per GPU that this process may use.

    Raises:
        ConfigError: if there is no GPU.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = [name.strip() for name in chosen.split(",") if name.strip()]
    names = names or [str(number) for number in range(torch.cuda.device_count())]
    if not torch.cuda.is_available():
        raise ConfigError(
            "--one-per-gpu finds no GPU; leave it out to train one run after another."
        )
    return [{"CUDA_VISIBLE_DEVICES": name} for name in names]


def check_data(runs: Sequence[Run]) -> None:
    """Check that the data of every run exist; rehearsals of runs cannot be compared.

    Raises:
        ConfigError: if the data root of a run does not exist.
    """
    for run in runs:
        root = run.config.data.root
        if not url_of(root) and not root.is_dir():
            raise ConfigError(
                f"Variant {run.variant!r} needs data in {root}, which does not exist; set"
                " --data.root (bevlab make-synthetic generates a synthetic world)."
            )


def run_all(runs: Sequence[Run], slots: Sequence[dict[str, str]] = ({},)) -> list[Run]:
    """Execute all runs that are not finished; a failing run does not stop the others.

    Args:
        runs: runs in the order in which they start; their config files must have been written, see
            ``write_plans``.
        slots: additional environment variables of each of the processes that run at a time.

    Returns:
        The runs that failed.
    """
    waiting = deque(run for run in runs if not run.finished)
    for run in runs:
        if run.finished:
            print(f"finished before: {run.name}", flush=True)
    free = list(slots)
    active: list[Job] = []
    failed: list[Run] = []
    total, started = len(waiting), 0
    try:
        while waiting or active:
            while waiting and free:
                started += 1
                active.append(start(waiting.popleft(), free.pop(0), f"[{started}/{total}]"))
            for job in [job for job in active if job.process.poll() is not None]:
                active.remove(job)
                free.append(job.slot)
                minutes = (time.perf_counter() - job.begin) / 60
                if job.run.finished:
                    print(f"finished: {job.run.name} in {minutes:.1f} minutes", flush=True)
                else:
                    failed.append(job.run)
                    status = f"exit status {job.process.returncode}"
                    reason = job.run.error or f"stopped without an error after: {job.run.last_line}"
                    print(f"FAILED: {job.run.name} ({status}): {reason}", flush=True)
            time.sleep(0.1)
    finally:  # an interrupted study stops its runs; each can resume from its last checkpoint
        end([job.process for job in active])
    return failed


def printed(run: Run) -> str:
    """Shell command of a run, for this folder on any machine."""
    return shlex.join(["bevlab", *run.arguments()])


def start(run: Run, slot: dict[str, str], number: str) -> Job:
    """Start the process of a run, whose output goes to its log; ``number`` is printed before."""
    verb = "resumes" if run.begun else "starts"
    print(f"{number} {verb}: {run.name} (log: {run.log})", flush=True)
    run.log.parent.mkdir(parents=True, exist_ok=True)
    log: Path = run.log
    with log.open("w") as file:
        process = subprocess.Popen(
            run.command(),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**launched_alone(), **slot},
            start_new_session=True,  # processes that the run starts end with it
        )
    return Job(run, process, slot, time.perf_counter())


def end(processes: Sequence[subprocess.Popen]) -> None:
    """Stop runs, which save their states at the same time, and wait until all have ended."""
    for process in processes:
        if process.poll() is not None:  # its number may be that of another process by now
            continue
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.terminate()
    for process in processes:
        process.wait()


@contextmanager
def exits_on_signals() -> Iterator[None]:
    """Exit, and so end the runs, on SIGTERM and SIGHUP (a closed terminal); nohup is respected."""
    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            before[number] = signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""Execution of a study on a SLURM cluster by submitit: one array of jobs, a run each.

A job that is preempted, or reaches its time limit, lets its run write a checkpoint and goes back to
the queue; there ``--resume auto`` continues the run. The command that submits the jobs waits for
them and can be ended and repeated at any time: it finds the jobs that it submitted before.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bev.errors import ConfigError
from bev.files import replacing
from bev.lab.ablation.study import Run
from bev.lab.jobs import WARNING, JobConfig
from bev.plain_json import read_json

if TYPE_CHECKING:
    from submitit import Job
    from submitit.helpers import DelayedSubmission

JOBS = "jobs.json"

_REQUEUES = 100  # times that a job may reach its time limit; its run goes on every time
_PATIENCE = WARNING - 30  # seconds in which a run has to end after the signal
_POLL = 1.0  # seconds
_DELAY = 90.0  # seconds until a file of another machine appears on a network file system


class RunTask:
    """Function of a job: runs a command, and stops it with a checkpoint when the job is preempted.

    Args:
        command: words of the command, which resumes by itself.
        log: file of its output.
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.command, self.log = list(command), log
        self._process: subprocess.Popen | None = None

    def __call__(self) -> int:
        """Run the command; returns its exit status."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("w") as file:
            # In a session of its own: SLURM's signal to the job would end the run at once.
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._process = process
        while process.poll() is None:  # wait() would hold a lock that a signal's handler needs
            time.sleep(_POLL)
        return process.returncode

    def checkpoint(self) -> "DelayedSubmission":
        """Stop the run, which writes a checkpoint; submitit calls this and queues the job again."""
        from submitit.helpers import DelayedSubmission

        if self._process is not None:
            _stop(self._process.pid)
        return DelayedSubmission(RunTask(self.command, self.log))


def submit(
    runs: Sequence[Run], config: JobConfig, cluster: Literal["slurm", "local"] = "slurm"
) -> "dict[str, Job]":
    """Submit all runs that are neither finished nor in the queue, as one array of jobs.

    Args:
        runs: runs of a study, whose config files must have been written.
        config: resources of each job.
        cluster: submitit's executor; "local" starts all jobs at once on this machine.

    Returns:
        Jobs of the unfinished runs, by the run's name.

    Raises:
        ConfigError: if submitit or SLURM is missing, or refuses the jobs.
    """
    folder = runs[0].study / "slurm"
    executor = _executor(folder, cluster)
    parameters = config.parameters(runs[0].config.name)
    waiting = [run for run in runs if not run.finished]
    known = _submitted(folder, executor.job_class)
    jobs = {
        name: job
        for name, job in known.items()
        if name in {run.name for run in waiting} and not job.done(force_check=True)
    }
    new = [run for run in waiting if run.name not in jobs]
    for run in runs:
        state = "finished before" if run.finished else "in the queue" if run.name in jobs else ""
        if state:
            print(f"{state}: {run.name}", flush=True)
    if new:
        try:
            executor.update_parameters(**parameters)
            submitted = executor.submit_array([RunTask(run.command(), run.log) for run in new])
        except Exception as error:  # of submitit's parameters, or of sbatch
            raise ConfigError(
                f"The jobs cannot be submitted ({' '.join(str(error).split())[:300]}); check"
                " --partition, --hours, --gpus, --cpus, --memory and --sbatch."
            ) from error
        for run, job in zip(new, submitted, strict=True):
            jobs[run.name] = job
            print(f"submitted: {run.name}, job {job.job_id} (log: {run.log})", flush=True)
        with replacing(folder / JOBS) as partial:
            # Those of runs that this command leaves out, such as other seeds, may still be queued.
            partial.write_text(
                json.dumps({name: job.job_id for name, job in {**known, **jobs}.items()})
            )
    return jobs


def wait_for(runs: Sequence[Run], jobs: "Mapping[str, Job]") -> list[Run]:
    """Wait for jobs, and report each that ends; returns the runs that failed.

    The jobs are left alone if this process is ended.
    """
    waiting = {run.name: run for run in runs if run.name in jobs}
    failed = []
    latest: dict[str, float] = {}  # when the files of a job that has ended must have appeared
    while waiting:
        for name, run in list(waiting.items()):
            if not (run.finished or jobs[name].done()):
                continue
            if not run.finished and _succeeded(jobs[name]):
                now = time.monotonic()
                if now < latest.setdefault(name, now + _DELAY):
                    continue
            del waiting[name]
            if run.finished:
                print(f"finished: {name}", flush=True)
            else:
                failed.append(run)
                reason = run.error or f"stopped without an error after: {run.last_line}"
                print(f"FAILED: {name} (job {jobs[name].job_id}): {reason}", flush=True)
        time.sleep(_POLL if waiting else 0)
    return failed


def _succeeded(job: "Job") -> bool:
    """Return whether the command of a job that has ended did so without an error."""
    try:
        return job.result() == 0
    except Exception:  # submitit raises that of the job, or its own for a job that was killed
        return False


def _executor(folder: Path, cluster: str) -> Any:
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            "--slurm needs the package submitit; install it with pip install 'bevlab[cluster]'."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.AutoExecutor(folder, cluster, slurm_max_num_timeout=_REQUEUES)
    except RuntimeError as error:
        raise ConfigError(
            "--slurm finds no SLURM on this machine (no srun); run it on a login node of the"
            " cluster, or print the commands of the runs by --print."
        ) from error
    executor.job_class = executor._executor.job_class  # AutoExecutor does not pass it on
    return executor


def _submitted(folder: Path, job_class: Any) -> "dict[str, Job]":
    """Jobs that were submitted before, by the name of their run."""
    path = folder / JOBS
    if not path.is_file():
        return {}
    remedy = "delete it, if no job of the study is in the queue."
    ids = read_json(path, lambda x: {str(k): str(v) for k, v in x.items()}, ConfigError, remedy)
    return {name: job_class(folder, number) for name, number in ids.items()}


def _stop(pid: int) -> None:
    """Send SIGTERM to a run and its processes, and wait for its end; called in a signal handler."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    end = time.monotonic() + _PATIENCE
    with suppress(ChildProcessError):
        # Only looks at the process: the interrupted code waits for it.
        while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > end:
                os.killpg(pid, signal.SIGKILL)
                return
            time.sleep(0.1)

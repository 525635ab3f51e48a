"""A study as jobs of a cluster: their resources, preemption, and the table."""

import csv
import json
import os
import signal
import sys
import time
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest
from commands import ROOT, SMALL, attempt

from bev.config import load_file
from bev.errors import ConfigError
from bev.lab.ablation import Study
from bev.lab.ablation.cluster import JOBS, RunTask, submit, wait_for
from bev.lab.ablation.report import write_report
from bev.lab.ablation.study import expand, write_plans
from bev.lab.jobs import JobConfig
from bev.training.record import RunRecord

STUDY = str(ROOT / "configs" / "ablations" / "depth_step.py")


def test_resources_become_parameters_of_sbatch():
    more = ("account=vision", "--exclude=n[1-2]", "exclusive=")
    job = JobConfig("gpu", 1.51, 4, 16, 64, 3, more)
    parameters = job.parameters("study")
    assert parameters["timeout_min"] == 91 and parameters["gpus_per_node"] == 4
    assert parameters["slurm_array_parallelism"] == 3 and parameters["mem_gb"] == 64
    further = {"account": "vision", "exclude": "n[1-2]", "exclusive": True}
    assert parameters["slurm_additional_parameters"] == further
    usual = JobConfig().parameters("study")
    unset = {name for name, value in usual.items() if value is None}
    assert unset == {"mem_gb", "slurm_partition", "slurm_additional_parameters"}
    with pytest.raises(ConfigError, match="'vision' is no option of sbatch; write it as name="):
        JobConfig(sbatch=("vision",)).parameters("study")


def test_the_script_of_the_jobs(tmp_path, monkeypatch):
    """What sbatch gets: an array, the limits, and the signal before the end of a job."""
    pytest.importorskip("submitit")
    from submitit.slurm.slurm import SlurmExecutor

    given = []

    def sbatch(self, command):
        given.append(self._make_submission_file_text(command, "0"))
        return self.job_class(folder=self.folder, job_id="17", tasks=[0])

    monkeypatch.setattr(SlurmExecutor, "affinity", classmethod(lambda _: 2))
    monkeypatch.setattr(SlurmExecutor, "_submit_command", sbatch)
    monkeypatch.setattr("submitit.slurm.slurm.SlurmInfoWatcher.is_done", lambda *_, **__: False)
    runs = study(tmp_path, None)
    jobs = submit(runs, JobConfig("gpu", 12, 2, 6, parallel=5, sbatch=("exclusive=",)))
    assert [job.job_id for job in jobs.values()] == ["17_0", "17_1"]
    (script,) = given
    for option in (
        "--array=0-1%2", "--partition=gpu", "--time=720", "--gpus-per-node=2", "--cpus-per-task=6",
        "--signal=USR2@180", "--ntasks-per-node=1", "--open-mode=append", "--exclusive",
    ):  # fmt: skip
        assert f"#SBATCH {option}\n" in script, (option, script)
    assert "srun --unbuffered" in script and " --cpus-per-task=6 " in script
    submit(runs, JobConfig("gpu"))  # both are in the queue
    assert len(given) == 1
    more = study(tmp_path, None, "--train.seed", "1")  # of other seeds, while the first ones run
    assert submit(more, JobConfig("gpu")).keys() == {"shallow_seed1", "deep_seed1"}
    assert submit(runs, JobConfig("gpu")).keys() == {"shallow_seed0", "deep_seed0"}
    assert len(given) == 2


@pytest.mark.parametrize(
    "flags, fault",
    [
        (("--hours", "0"), "--hours is 0.0; set it to above 0"),
        (("--gpus", "-1"), "--gpus is -1; set it to at least 0"),
        (("--cpus", "0"), "--cpus is 0; set it to at least 1"),
        (("--parallel", "0"), "--parallel is 0; set it to at least 1"),
        (("--slurm", "--one-per-gpu"), "--slurm and --one-per-gpu exclude each other"),
        (("--partition", "gpu"), "Options of jobs, such as --partition, need --slurm"),
        (("--no-wait", "--print"), "Options of jobs, such as --partition, need --slurm"),
    ],
)
def test_resources_that_no_job_has_are_refused(flags, fault, tmp_path):
    status, _, error = attempt("ablate.py", STUDY, "--runs", tmp_path, *flags)
    assert status == 1 and fault in error


def test_without_slurm_or_submitit_a_sentence_names_what_to_do(tmp_path, monkeypatch):
    runs = study(tmp_path, None)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "submitit", None)
        with pytest.raises(ConfigError, match=r"pip install 'bevlab\[cluster\]'"):
            submit(runs, JobConfig())
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"no SLURM on this machine .* --print"):
        submit(runs, JobConfig())


def test_a_preempted_task_stops_its_command_and_starts_it_again(tmp_path):
    pytest.importorskip("submitit")
    program = "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit('stopped'))\n"
    program += "print('ready', flush=True)\ntime.sleep(60)"
    task = RunTask([sys.executable, "-c", program], tmp_path / "log.txt")
    again = []

    def preempt(*_):
        again.append(task.checkpoint())

    before = signal.signal(signal.SIGUSR2, preempt)
    try:

        def interrupt():
            while "ready" not in (log.read_text() if (log := task.log).exists() else ""):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR2)

        Thread(target=interrupt).start()
        assert task() == 1  # returns: the handler did not take its lock
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert task.log.read_text() == "ready\nstopped\n"
    assert again[0].function.command == task.command and again[0].function.log == task.log


def test_files_of_a_job_that_appear_late_are_waited_for(tmp_path, monkeypatch, capsys):
    """A login node sees a new file of another machine up to a minute later."""
    runs = study(tmp_path, None)
    late, lost = runs
    now = [0.0]

    def sleep(seconds):
        now[0] += 20 * seconds
        if now[0] >= 40:
            late.folder.mkdir(exist_ok=True, parents=True)
            (late.folder / "run.json").write_text("{}")

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    jobs = {
        run.name: SimpleNamespace(done=lambda: True, result=lambda: 0, job_id="7") for run in runs
    }
    assert wait_for(runs, jobs) == [lost] and now[0] == 100
    assert f"finished: {late.name}" in capsys.readouterr().out
    for result in (lambda: 1, lambda: 1 / 0):  # failed, and killed: reported at once
        jobs[lost.name].result = result
        assert wait_for([lost], jobs) == [lost] and now[0] == 100


def study(folder, root, *flags):
    """Two variants of a shrunken run."""
    base = load_file(ROOT / "configs" / "lss_synthetic.py")
    where = ["--data.root", str(root)] if root else []
    overrides = [*SMALL, *where, "--train.pictures", "0", *flags]
    variants = {"shallow": "", "deep": "--model.encoder.blocks 2"}
    runs = expand(Study(base, variants, name="small"), None, overrides, folder / "runs")
    write_plans(runs)
    return runs


@pytest.mark.slow
def test_a_preempted_job_resumes_its_run_and_the_table_is_complete(synthetic_world, tmp_path):
    """Submitit's local executor; the first job is preempted in the middle of its run."""
    pytest.importorskip("submitit")
    runs = study(
        tmp_path, synthetic_world, "--train.epochs", "12", "--data.batch-size", "1",
        "--data.workers", "0", "--train.devices", "1", "--train.validate-every", "12",
        "--train.tensorboard.no-events", "--train.log-every", "1",
    )  # fmt: skip
    jobs = submit(runs, JobConfig(gpus=0, hours=1), "local")
    recorded = json.loads((runs[0].study / "slurm" / JOBS).read_text())
    assert recorded == {name: job.job_id for name, job in jobs.items()}
    first = runs[0]
    metrics = first.folder / "metrics.csv"
    while not metrics.is_file() or len(metrics.read_text().splitlines()) < 4:
        assert not jobs[first.name].done(), first.log.read_text()
        time.sleep(0.2)
    number = jobs[first.name].job_id  # that of the process that starts the job's task
    (task,) = Path(f"/proc/{number}/task/{number}/children").read_text().split()
    os.kill(int(task), signal.SIGUSR2)  # as SLURM does
    assert not wait_for(runs, jobs)
    assert "Requeued job" in jobs[first.name].stdout()
    before = list(csv.DictReader((first.folder / "metrics_before_resume_1.csv").open()))
    after = list(csv.DictReader(metrics.open()))
    steps = [int(row["step"]) for row in before + after if row["train/loss"]]
    assert steps == list(range(len(steps))), "a step was repeated or lost"
    assert before and RunRecord.read(first.folder).steps == len(steps)
    assert RunRecord.read(runs[1].folder).steps == len(steps)
    assert not (runs[1].folder / "metrics_before_resume_1.csv").exists()
    table = write_report(runs, replicates=20)
    rows = list(csv.DictReader((first.study / "table.csv").open()))
    assert [(row["variant"], row["finished"]) for row in rows] == [("shallow", "1"), ("deep", "1")]
    assert all(row["mAP"] for row in rows) and "deep" in table
    assert submit(runs, JobConfig(gpus=0), "local") == {}

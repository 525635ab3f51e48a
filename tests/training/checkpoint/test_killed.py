"""Trainings that are killed or stopped anywhere, as whole programs, and resumed.

The weights, the averaged weights and the logged losses equal those of an unbroken run, bit for bit;
a kill in the moment between a checkpoint and its line of the log loses that line. The first test
kills a training 30 times at random moments: while it starts, trains, validates or writes a
checkpoint.
"""

import csv
import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from commands import ROOT
from isolated import start_forked

from bev.config import save_config
from bev.training.checkpoint.loading import read_checkpoint
from bev.training.record import is_finished

pytestmark = pytest.mark.slow

KILLS = 30


class Program(NamedTuple):
    """``train.py`` with a saved config, whose runs have a name each."""

    config: Path
    runs: Path

    def start(self, name, *options):
        """Start or resume a run; it leads a group of processes of its own."""
        folder = self.runs / "outputs" / name
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "train.py"
        script.write_text(
            "import os, runpy, sys\n"
            "if 'LOCAL_RANK' not in os.environ:\n    os.setsid()\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            f"runpy.run_path({str(ROOT / 'tools' / 'train.py')!r}, run_name='__main__')\n"
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("BEV_RUN")}
        return start_forked(
            folder, script, self.config, "--train.run-name", name, "--resume", "auto", *options,
            environment=environment,
        )  # fmt: skip

    def finish(self, name, *options):
        process = self.start(name, *options)
        process.join(600)
        assert process.exitcode == 0 and is_finished(self.folder(name)), self.error(name)

    def folder(self, name):
        return self.runs / "quick" / name

    def last(self, name):
        return self.folder(name) / "checkpoints" / "last.ckpt"

    def error(self, name):
        return (self.runs / "outputs" / name / "error").read_text()

    def trains(self, name, process):
        """Wait until a run has made a step, or has ended."""
        last, deadline = self.last(name), time.monotonic() + 120
        before = last.stat().st_mtime_ns if last.exists() else 0
        while process.is_alive() and time.monotonic() < deadline:
            with suppress(FileNotFoundError):
                if last.stat().st_mtime_ns > before:
                    return
            time.sleep(0.01)


@pytest.fixture(scope="module")
def program(quick, tmp_path_factory):
    """40 epochs of four steps with one camera, a validation every tenth, all steps saved."""
    runs = tmp_path_factory.mktemp("killed")
    config = replace(
        quick,
        data=replace(quick.data, cameras=("CAM_FRONT",), workers=0),
        train=replace(quick.train, runs=runs, save_minutes=0.0, epochs=40, validate_every=10,
                      precision="32", pictures=0),
    )  # fmt: skip
    save_config(config, runs / "config.yaml")
    return Program(runs / "config.yaml", runs)


@pytest.fixture(scope="module")
def whole(program):
    """Names of unbroken runs, by the number of processes."""
    program.finish("whole_1")
    program.finish("whole_2", "--train.devices", "2", "--train.epochs", "10")
    return {1: "whole_1", 2: "whole_2"}


def losses(folder):
    """Loss of each logged step of all parts of a run; a step may be logged twice."""
    found = {}
    for path in [*folder.glob("metrics_before_resume_*.csv"), folder / "metrics.csv"]:
        with path.open() as file:
            for row in csv.DictReader(file):
                if row.get("train/loss"):
                    assert found.setdefault(row["step"], row["train/loss"]) == row["train/loss"]
    return found


def assert_equal(program, name, expected, kills=0):
    first, second = (read_checkpoint(program.last(n)) for n in (expected, name))
    assert first["global_step"] == second["global_step"]
    for kind in ("state_dict", "current_model_state"):
        for key, value in first[kind].items():
            assert torch.equal(value, second[kind][key]), (kind, key)
    logged, whole = losses(program.folder(name)), losses(program.folder(expected))
    assert logged.items() <= whole.items() and len(whole) - len(logged) <= kills


def end(process, number, group=True):
    """Send a signal to a run's processes, or to its first one alone; returns whether it lived."""
    if not process.is_alive():
        return False
    try:
        (os.killpg if group else os.kill)(process.pid, number)
    except ProcessLookupError:  # before it leads a group
        os.kill(process.pid, number)
    process.join(120)
    assert process.exitcode is not None
    return True


def children(process):
    """Ids of the processes that a process has started."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(number) for number in text.split()]


def test_a_training_killed_30_times_equals_an_unbroken_one(program, whole):
    """Every third time as it starts; with and without workers, which sometimes outlive it."""
    draw, kills, steps = random.Random(0), 0, []
    while kills < KILLS:
        process = program.start("killed", "--data.workers", str(kills % 2 * 2))
        if kills % 3:
            program.trains("killed", process)
            time.sleep(draw.uniform(0, 0.6))
        else:
            time.sleep(draw.uniform(0, 4.0))
        assert end(process, signal.SIGKILL, group=kills % 4 < 2), program.error("killed")
        kills += 1
        last = program.last("killed")
        steps.append(read_checkpoint(last)["global_step"] if last.exists() else 0)
    assert steps == sorted(steps) and len(set(steps)) > KILLS // 3
    program.finish("killed")
    assert_equal(program, "killed", whole[1], KILLS)
    print(f"{kills} kills after steps {steps}")


@pytest.mark.parametrize("to_group", [True, False])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("processes", [1, 2])
def test_a_stopped_training_equals_an_unbroken_one(program, whole, processes, number, to_group):
    """By Ctrl-C or a scheduler, which reach all processes, or by a signal to the first one."""
    name = f"{number.name}_{processes}_{to_group}"
    options = ["--train.devices", str(processes), "--data.workers", "1"]
    options += ["--train.epochs", "10"] if processes == 2 else []
    process = program.start(name, *options)
    program.trains(name, process)
    assert end(process, number, to_group), program.error(name)
    assert process.exitcode == 1
    said = [line for line in program.error(name).splitlines() if line.startswith("error: ")]
    assert said and all(line.startswith("error: Stopped by ") for line in said)
    assert "Traceback" not in program.error(name)
    program.finish(name, *options)
    assert_equal(program, name, whole[processes])


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
@pytest.mark.parametrize(("processes", "workers"), [(1, 2), (2, 0)])
def test_a_training_whose_worker_or_second_process_is_killed_resumes(
    program, whole, processes, workers
):
    name = f"part_{processes}"
    options = ["--train.devices", str(processes), "--data.workers", str(workers)]
    options += ["--train.epochs", "10"] if processes == 2 else []
    process = program.start(name, *options)
    program.trains(name, process)
    os.kill(children(process)[-1], signal.SIGKILL)
    process.join(180)
    assert process.exitcode not in (None, 0), program.error(name)
    assert 0 < read_checkpoint(program.last(name))["global_step"]
    program.finish(name, *options)
    assert_equal(program, name, whole[processes], 1)

"""Queue of runs in separate processes: slots, failures, interrupts and log lines."""

import os
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from bev.errors import ConfigError
from bev.lab.ablation import queue
from bev.lab.ablation.queue import check_data, gpu_slots, printed, run_all
from bev.lab.ablation.study import Run, expand, read_study
from bev.lab.ablation.variants import grid, vary

BASE = Path(__file__).parents[3] / "configs" / "lss_synthetic.py"

# Replaces training: records its start, end and device; fails for the run with rate 2.
SCRIPT = """
import os, pathlib, sys, time
folder, slot = pathlib.Path(sys.argv[1]), os.environ.get("CUDA_VISIBLE_DEVICES", "")
folder.mkdir(parents=True, exist_ok=True)
begin = time.time()
time.sleep(0.3)
if "=2_" in folder.name:
    print("step 3\\rstep 4\\nTraceback:\\nRuntimeError: out of memory\\nin the end", flush=True)
    sys.exit(1)
(folder / "run.json").write_text(f"{slot} {begin} {time.time()}")
"""


@pytest.fixture
def runs(tmp_path, monkeypatch) -> list[Run]:
    monkeypatch.setattr(Run, "command", lambda run: [sys.executable, "-c", SCRIPT, str(run.folder)])
    return expand(read_study(BASE), grid(vary("train.lr", "1", "2", "3", "4")), runs=tmp_path)


def test_a_failing_run_does_not_stop_the_rest(runs, capsys):
    assert [run.name for run in run_all(runs)] == ["lr=2_seed0"]
    times = sorted(_times(run) for run in runs if run.finished)
    assert len(times) == 3
    assert all(end <= begin for (_, end), (begin, _) in zip(times[:-1], times[1:], strict=True))
    assert runs[1].error == "RuntimeError: out of memory" and not runs[0].error
    assert "FAILED: lr=2_seed0 (exit status 1): RuntimeError" in capsys.readouterr().out
    run_all(runs)
    out = capsys.readouterr().out
    assert out.count("finished before") == 3 and out.count("starts") == 1


def test_each_slot_runs_on_its_own_gpu(runs):
    run_all(runs, [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "GPU-7"}])
    slots = [(run.folder / "run.json").read_text().split()[0] for run in runs if run.finished]
    assert set(slots) == {"0", "GPU-7"}


def test_an_interrupted_study_ends_its_runs(runs, monkeypatch):
    started = []

    def interrupt(seconds):
        raise KeyboardInterrupt

    start = queue.start
    monkeypatch.setattr(queue, "start", lambda *a: started.append(start(*a)) or started[-1])
    monkeypatch.setattr(time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_all(runs)
    assert len(started) == 1 and started[0].process.returncode < 0


def test_all_runs_are_signalled_before_one_is_waited_for(monkeypatch):
    """Each takes as long as its checkpoint, and a scheduler waits for all only so long."""
    calls = []
    monkeypatch.setattr(os, "killpg", lambda pid, _: calls.append(("signal", pid)))

    def process(pid, status=None):
        made = Mock(spec=subprocess.Popen, pid=pid)
        made.poll.return_value = status
        made.wait.side_effect = lambda *_, **__: calls.append(("wait", pid))
        return made

    queue.end([process(1), process(2, status=0), process(3)])  # number 2 may be another's by now
    signals = [("signal", 1), ("signal", 3)]
    assert calls == [*signals, ("wait", 1), ("wait", 2), ("wait", 3)]


def test_a_killed_run_is_reported_with_its_last_line(runs, monkeypatch, capsys):
    script = "import os, signal; print('epoch 1\\rstep 17', flush=True); os.kill(os.getpid(), 9)"
    monkeypatch.setattr(Run, "command", lambda run: [sys.executable, "-c", script])
    assert run_all(runs[:1]) == runs[:1]
    out = capsys.readouterr().out
    assert "(exit status -9): stopped without an error after: step 17" in out


def test_the_printed_command_is_what_runs(tmp_path, monkeypatch):
    run = expand(read_study(BASE), grid(vary("train.lr", "1")), runs=tmp_path / "a b")[0]
    monkeypatch.chdir(BASE.parents[1])
    command = f"bevlab train '{run.plan}' --resume auto"
    assert printed(run) == command


def test_missing_data_and_gpus_are_reported_before_the_first_run(runs, monkeypatch):
    monkeypatch.chdir(runs[0].config.train.runs)
    with pytest.raises(ConfigError, match=r"'lr=1' needs data in data.synthetic-default"):
        check_data(runs)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no GPU"):
        gpu_slots()
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 5")
    assert gpu_slots() == [{"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "5"}]


def _times(run: Run) -> tuple[float, float]:
    begin, end = (run.folder / "run.json").read_text().split()[-2:]
    return float(begin), float(end)

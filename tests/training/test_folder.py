"""Run folders: two runs never share one, and a run that cannot be resumed keeps its records."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from bev.errors import TrainingError
from bev.training import folder as folders
from bev.training.folder import claimed_folder, keep_records, named_folder, put_back, run_folder
from bev.training.lock import LOCK, locked_run
from bev.training.settings import TrainConfig


@pytest.fixture(autouse=True)
def unchanged_environment(monkeypatch):
    """Restore the variable that names the run folder."""
    monkeypatch.setenv(folders.RUN_VARIABLE, "")


@pytest.fixture
def config(tmp_path) -> TrainConfig:
    return replace(TrainConfig(), runs=tmp_path, run_name="one")


def test_runs_of_one_second_get_separate_folders(config, monkeypatch):
    monkeypatch.setattr(folders.time, "strftime", lambda _: "2026-01-01_00-00-00")
    unnamed = replace(config, run_name="")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: run_folder(unnamed, "quick", None), range(24)))
    assert len(set(found)) == 24 and all(path.is_dir() for path in found)
    names = {path.name for path in found}
    assert {"2026-01-01_00-00-00", "2026-01-01_00-00-00_2", "2026-01-01_00-00-00_24"} <= names


def test_a_run_with_checkpoints_is_not_overwritten(config):
    checkpoints = run_folder(config, "quick", None) / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / ".last.ckpt.partial").write_bytes(b"cut off")
    assert run_folder(config, "quick", None) == checkpoints.parent  # killed before its first one
    (checkpoints / "best.ckpt").write_bytes(b"whole")
    with pytest.raises(TrainingError, match=r"continue with --resume .*best\.ckpt"):
        run_folder(config, "quick", None)


def test_a_run_without_a_checkpoint_keeps_its_folder_until_it_ends(config):
    with claimed_folder(config, "quick", None) as folder:
        again = pytest.raises(TrainingError, match=f"{folder} is in use by a run of this process")
        with again, claimed_folder(config, "quick", None):
            pass
    with claimed_folder(config, "quick", None) as second:  # the first has ended without a step
        assert second == folder


def test_what_killed_writers_left_in_a_run_is_removed_when_it_goes_on(config):
    folder = run_folder(config, "quick", None)
    left = [folder / ".partial-1-config.yaml", folder / "checkpoints" / ".partial-1-best.json"]
    left[1].parent.mkdir()
    for path in left:
        path.write_text("half")
        os.utime(path, (0, 0))
    with claimed_folder(config, "quick", None):
        assert not any(path.exists() for path in left)


HOLD = """
import sys
from pathlib import Path
from bev.training.lock import locked_run
with locked_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_another_process_ends_with_it(tmp_path):
    """The process is killed, as by a scheduler; a process that it forked lives on."""
    fork = HOLD.replace(
        "    print(", "    import os, time\n    os.fork() or time.sleep(60)\n    print("
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", fork, tmp_path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(folders.__file__).parents[2])},
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "held\n"
        used = pytest.raises(TrainingError, match=f"in use by process {holder.pid} on .*run-name")
        with used, locked_run(tmp_path):
            pass
        holder.kill()
        holder.wait()
        with locked_run(tmp_path):
            assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on")
    finally:
        os.killpg(holder.pid, 9)


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with locked_run(tmp_path):
        pass


@pytest.mark.parametrize("name", ["../other", "/elsewhere", ".", "a/../../b"])
def test_a_name_outside_the_experiments_folder_is_refused(config, name):
    with pytest.raises(TrainingError, match="is not the name of a folder in"):
        named_folder(replace(config, run_name=name), "quick")


def test_a_folder_that_cannot_be_created_is_named(config, tmp_path):
    (tmp_path / "quick").write_text("in the way")
    with pytest.raises(TrainingError, match=r"cannot be created \(.*: .*quick/one\)"):
        run_folder(config, "quick", None)


def test_processes_of_a_launcher_need_a_name(config, monkeypatch):
    monkeypatch.delenv(folders.RUN_VARIABLE)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(TrainingError, match="set --train.run-name"):
        run_folder(replace(config, run_name=""), "quick", None)
    with claimed_folder(config, "quick", None) as first:
        monkeypatch.setenv("RANK", "0")
        with claimed_folder(config, "quick", None) as other:  # rank 0 alone holds the lock
            assert first == other


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    """A folder in the place of the lock is an obstacle also for the superuser."""
    (tmp_path / LOCK).mkdir()
    message = rf"^Run folder {tmp_path} cannot be written to \(Is a directory\); .*--train.runs"
    with pytest.raises(TrainingError, match=message), locked_run(tmp_path):
        pass


def test_records_are_put_back(tmp_path):
    for name in ("metrics.csv", "config.yaml", "run.json"):
        (tmp_path / name).write_text(name)
    moved = keep_records(tmp_path)
    (tmp_path / "metrics.csv").write_text("new")
    put_back(moved)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        name: name for name in ("metrics.csv", "config.yaml", "run.json")
    }

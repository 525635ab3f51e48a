"""One index for many processes: built once, whole or not at all, and never for other tables."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bev.benchmark.made_tables import VERSION, write_tables
from bev.data import index_cache
from bev.data.index import PARTS
from bev.data.index_build import Job
from bev.data.index_cache import open_index
from bev.errors import DataError


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_tables(tmp_path_factory.mktemp("made") / "root", scenes=3, frames=4, boxes=6)


@pytest.fixture()
def root(made, tmp_path) -> Path:
    """A data root of the test's own, that may be written."""
    return shutil.copytree(made, tmp_path / "root")


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch) -> Path:
    """The usual places, with a user's cache folder of the test's own."""
    monkeypatch.delenv("BEV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bev" / "index"


@pytest.fixture()
def builds(monkeypatch) -> list[Job]:
    """The jobs run from here on."""
    jobs, run = [], index_cache._run
    monkeypatch.setattr(index_cache, "_run", lambda job: (jobs.append(job), run(job)))
    return jobs


@pytest.fixture()
def hashings(monkeypatch) -> list[Path]:
    """The tables hashed from here on, with records believed however young they are."""
    paths, content_hash = [], index_cache.content_hash
    monkeypatch.setattr(index_cache, "_TICK", -1e15)
    monkeypatch.setattr(
        index_cache, "content_hash", lambda path: (paths.append(path), content_hash(path))[1]
    )
    return paths


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def content(index) -> dict[str, bytes]:
    return {
        f"{part}.{name}": column.tobytes()
        for part in PARTS
        for name, column in vars(getattr(index, part)).items()
    }


def test_the_index_lies_beside_the_data_and_is_made_once(root, user_cache, builds):
    first = open_index(root, VERSION)
    assert first.folder.parent == root / ".index" and not user_cache.exists()
    assert content(open_index(root, VERSION)) == content(first)
    assert len(builds) == 1
    (record,) = (root / ".index").glob(f"{VERSION}-*.json")
    assert set(names(root / ".index")) == {first.folder.name, "lock", record.name}


def test_opening_reads_no_table_and_writes_nothing(root, hashings):
    open_index(root, VERSION)
    assert len(hashings) == 10
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    open_index(root, VERSION)
    assert len(hashings) == 10
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_read_only_root_is_left_alone(root, user_cache, builds):
    """Also by the superuser, whom the mode does not stop."""
    root.chmod(0o555)
    try:
        before = names(root)
        index = open_index(root, VERSION)
        open_index(root, VERSION)
        assert index.folder.parent == user_cache and names(root) == before
        assert len(builds) == 1
    finally:
        root.chmod(0o755)


def test_a_named_cache_goes_before_both(root, tmp_path, monkeypatch):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "named"))
    assert open_index(root, VERSION).folder.parent == tmp_path / "named" / "index"
    assert not (root / ".index").exists()
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"No place for the index.*file.index.*set BEV_CACHE"):
        open_index(root, VERSION)


def test_a_changed_table_is_noticed(root, builds):
    before = open_index(root, VERSION)
    path = root / VERSION / "sample.json"
    path.write_text(path.read_text().replace("1532402927647951", "1532402927647952"))
    after = open_index(root, VERSION)
    assert len(builds) == 2 and after.folder != before.folder
    assert (after.sample.timestamp != before.sample.timestamp).sum() == 3  # one a scene
    path.write_text(path.read_text().replace("1532402927647952", "1532402927647951"))
    assert open_index(root, VERSION).folder == before.folder
    assert len(builds) == 2


def test_a_change_that_keeps_size_and_modification_time_is_noticed(root, hashings):
    """As a copy that preserves times makes it; the system's change time gives it away."""
    before = open_index(root, VERSION)
    path = root / VERSION / "sample_annotation.json"
    times = path.stat()
    text = path.read_text()
    path.write_text(text.replace('"num_radar_pts": 0', '"num_radar_pts": 7'))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size and path.stat().st_mtime_ns == times.st_mtime_ns
    assert (open_index(root, VERSION).sample_annotation.num_radar_pts == 7).all()
    assert (before.sample_annotation.num_radar_pts == 0).all()


def test_a_record_of_tables_just_written_is_not_believed(root, monkeypatch):
    """Two writes may fall on one tick of the file system's clock."""
    paths, content_hash = [], index_cache.content_hash
    monkeypatch.setattr(
        index_cache, "content_hash", lambda path: (paths.append(path), content_hash(path))[1]
    )
    (root / VERSION / "scene.json").touch()
    open_index(root, VERSION)
    open_index(root, VERSION)
    assert len(paths) == 20
    later = time.time_ns() + 5 * 10**9
    monkeypatch.setattr(index_cache.time, "time_ns", lambda: later)
    open_index(root, VERSION)
    open_index(root, VERSION)
    assert len(paths) == 30


def test_a_copied_root_finds_its_index_again(root, tmp_path, builds):
    first = open_index(root, VERSION)
    copy = shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copy)  # times are new
    again = open_index(copy, VERSION)
    assert len(builds) == 1 and again.folder.name == first.folder.name
    assert again.folder.is_relative_to(copy)


def test_two_roots_of_equal_tables_share_an_index(root, tmp_path, monkeypatch, builds):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "shared"))
    copy = shutil.copytree(root, tmp_path / "copy")
    first, second = open_index(root, VERSION), open_index(copy, VERSION)
    assert first.folder == second.folder and len(builds) == 1
    assert (first.root, second.root) == (root, copy)


def _open_with_others(root: Path, barrier, results) -> None:
    run = index_cache._run
    index_cache._run = lambda job: (results.put("built"), run(job))
    barrier.wait()
    results.put(hash_of(open_index(root, VERSION)))


def hash_of(index) -> int:
    return sum(int(np.frombuffer(part, np.uint8).sum()) for part in content(index).values())


@pytest.mark.skipif(sys.platform == "win32", reason="starts processes by fork")
def test_eight_processes_on_a_cold_cache(root):
    """One builds, the others wait, all agree."""
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(8), context.Queue()
    processes = [
        context.Process(target=_open_with_others, args=(root, barrier, results)) for _ in range(8)
    ]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in range(9)]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    assert found.count("built") == 1
    assert set(found) == {"built", hash_of(open_index(root, VERSION))}


def test_a_builder_that_is_killed_is_an_error_and_leaves_nothing(root, monkeypatch):
    suicide = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    with monkeypatch.context() as patch:
        patch.setattr(Job, "command", lambda self: suicide)
        with pytest.raises(DataError, match=r"failed \(exit status -9"):
            open_index(root, VERSION)
    assert names(root / ".index") == ["lock"]
    assert len(open_index(root, VERSION).sample.token) == 12


_SLOW_OPEN = """
import sys, time
from pathlib import Path
from bev.data import index_cache

def stay(job):
    (Path(job.out) / "sample.token.npy").write_bytes(b"half a column")
    print("building", flush=True)
    time.sleep(600)

index_cache._run = stay
index_cache.open_index(Path(sys.argv[1]), sys.argv[2])
"""


def test_a_killed_process_leaves_nothing_harmful(root):
    """Its lock goes with it, its half index is no index, and the next build clears it away."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_OPEN, str(root), VERSION], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "building\n"
    assert any(name.startswith(".partial-") for name in names(root / ".index"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    index = open_index(root, VERSION)
    assert len(index.sample.token) == 12
    assert not any(name.startswith(".partial-") for name in names(root / ".index"))


def test_tables_that_change_while_they_are_read_are_noticed(root, monkeypatch):
    run = index_cache._run

    def write_and_run(job):
        path = root / VERSION / "scene.json"
        path.write_text(path.read_text() + "\n")
        run(job)

    with monkeypatch.context() as patch:
        patch.setattr(index_cache, "_run", write_and_run)
        with pytest.raises(DataError, match=r"scene.json changed while it was read"):
            open_index(root, VERSION)
    open_index(root, VERSION)


def test_large_tables_are_read_apart_with_the_same_result(root, monkeypatch, tmp_path):
    """In processes of their own; a damaged one is named all the same."""
    one = open_index(root, VERSION)
    code = "import sys, bev.data.index_build as b; b._LARGE = 0; b.main()"
    command = Job.command
    monkeypatch.setattr(Job, "command", lambda self: _apart(command(self), tmp_path, code))
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "apart"))
    apart = open_index(root, VERSION)
    assert apart.folder != one.folder and content(apart) == content(one)
    path = root / VERSION / "sample_data.json"
    path.write_text(path.read_text()[:-300])
    with pytest.raises(DataError, match=r"sample_data.json is damaged or cut off"):
        open_index(root, VERSION)


def _apart(command: list[str], folder: Path, code: str) -> list[str]:
    script = folder / "apart.py"
    script.write_text(f"if __name__ == '__main__':\n    {code}\n")
    return [command[0], str(script), *command[3:]]


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_index_is_named(root, damage):
    index = open_index(root, VERSION)
    path = index.folder / "sample_annotation.size.npy"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=f"{index.folder.name} is damaged.*delete it"):
        open_index(root, VERSION)
    shutil.rmtree(index.folder)
    open_index(root, VERSION)


def test_a_record_that_is_no_record_is_written_anew(root):
    open_index(root, VERSION)
    (record,) = (root / ".index").glob(f"{VERSION}-*.json")
    whole = record.read_text()
    for text in ("", "[]", "{}", '{"index": 3, "tables": {}}'):
        record.write_text(text)
        assert len(open_index(root, VERSION).sample.token) == 12
        assert record.read_text().count("\n") == whole.count("\n")

"""Concurrent, killed and parallel builds leave one complete index or none."""

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
from index_files import content, names

from bev.data.nuscenes import index_build, index_cache
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.tables import TABLES, content_hash, table_file
from bev.data.storage import cache_place
from bev.errors import DataError
from bev.lab.benchmark.index import family
from bev.lab.benchmark.synthetic_tables import VERSION, write_tables

pytestmark = pytest.mark.usefixtures("user_cache")


def _open_with_others(root: Path, barrier, results) -> None:
    run = index_cache._run
    index_cache._run = lambda *job: (results.put("built"), run(*job))
    barrier.wait()
    results.put(hash_of(open_index(root, VERSION)))


def hash_of(index) -> int:
    return sum(int(np.frombuffer(part, np.uint8).sum()) for part in content(index).values())


@pytest.mark.skipif(sys.platform == "win32", reason="starts processes by fork")
def test_eight_processes_share_one_build_of_a_cold_cache(root):
    """One process builds the index, the others wait, and all read the same content."""
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


def test_without_locks_the_first_finished_index_is_used(root, monkeypatch):
    """Some network file systems have no locks; partial indexes of other processes then stay."""
    monkeypatch.setattr(cache_place, "fcntl", None)
    others = root / ".index" / ".partial-of-another"
    run = index_cache._run

    def overtaken(folder, out, hashes):
        run(folder, out, hashes)
        shutil.copytree(out, first := root / ".index" / "first")
        others.mkdir()
        rename = os.rename
        monkeypatch.setattr(
            index_cache.os, "rename", lambda source, to: (rename(first, to), rename(source, to))
        )

    monkeypatch.setattr(index_cache, "_run", overtaken)
    assert len(open_index(root, VERSION).sample.token) == 12
    assert [n for n in names(root / ".index") if n.startswith(".partial")] == [others.name]


def test_a_killed_builder_is_an_error_and_leaves_nothing(root, monkeypatch):
    killed_build = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"]
    with monkeypatch.context() as patch:
        patch.setattr(index_cache, "SMALL", 0)
        patch.setattr(index_cache, "BUILD", killed_build)
        with pytest.raises(DataError, match=r"failed \(exit status -9"):
            open_index(root, VERSION)
    assert names(root / ".index") == ["lock"]
    assert len(open_index(root, VERSION).sample.token) == 12


def test_a_separate_process_builds_the_same_index(root, monkeypatch):
    here = content(open_index(root, VERSION))
    shutil.rmtree(root / ".index")
    monkeypatch.setattr(index_cache, "SMALL", 0)
    monkeypatch.setattr(index_cache, "build", None)  # this process builds none
    assert content(open_index(root, VERSION)) == here


@pytest.mark.slow
def test_tables_read_in_parallel_give_the_same_index(root, tmp_path, monkeypatch):
    folder = root / VERSION
    hashes = {table: content_hash(table_file(folder, table)) for table in TABLES}
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(index_build, "_LARGE", 0)
        out = tmp_path / str(cores)
        out.mkdir()
        index_build.build(folder, out, hashes, cores)
        found.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert found[0] == found[1] and len(found[0]) > 30
    (folder / "scene.json").write_text('[{"token": "a", "name": 3}]')
    out = tmp_path / "damaged"
    out.mkdir()
    with pytest.raises(DataError, match=r"scene.json, row a: name is 3"):
        index_build.build(folder, out, hashes, 2)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_build_without_its_parent_ends(tmp_path):
    """The builder ends when the process that started it is gone."""
    root = write_tables(tmp_path / "large", scenes=60, frames=20, boxes=20)
    process = subprocess.Popen([sys.executable, "-c", _OPEN, str(root), VERSION])
    place = root / ".index"
    while len(started := family(process.pid) - {process.pid}) < 1:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.time() + 20
    while any(map(_is_running, started)):
        assert time.time() < deadline
        time.sleep(0.05)
    index = open_index(root, VERSION)
    assert len(index.sample.token) == 1200 and not list(place.glob(".partial-*"))


_OPEN = """
import sys
from pathlib import Path
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.tables import TABLES, content_hash, table_file

open_index(Path(sys.argv[1]), sys.argv[2])
"""


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


_SLOW_OPEN = """
import sys, time
from pathlib import Path
from bev.data.nuscenes import index_build, index_cache

def stay(folder, out, hashes):
    (out / "sample.token.npy").write_bytes(b"half a column")
    print("building", flush=True)
    time.sleep(600)

index_cache._run = stay
index_cache.open_index(Path(sys.argv[1]), sys.argv[2])
"""


def test_a_killed_process_leaves_nothing_harmful(root):
    """Its lock is released, its partial index is not used, and the next build removes it."""
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

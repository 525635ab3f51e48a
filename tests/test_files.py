"""Replacing a file: its content is the earlier or the later one, never a part."""

import multiprocessing
import os
import subprocess
import sys

import pytest

from bev.files import PARTIAL, replacing

KILLED = """
import os, signal, sys
from pathlib import Path
from bev.files import replacing

with replacing(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_file_is_replaced_when_writing_ends(tmp_path):
    path = tmp_path / "a.json"
    for content in ("first", "second"):
        before = path.read_text() if path.exists() else None
        with replacing(path) as partial:
            partial.write_text(content)
            assert (path.read_text() if path.exists() else None) == before
            assert partial.parent == tmp_path and partial.suffix == ".json"
        assert path.read_text() == content and os.listdir(tmp_path) == ["a.json"]


def test_an_error_leaves_the_file_unchanged(tmp_path):
    path = tmp_path / "a"
    path.write_text("first")
    for error in (OSError, KeyboardInterrupt):
        with pytest.raises(error), replacing(path) as partial:
            partial.write_text("half")
            raise error
        assert path.read_text() == "first" and os.listdir(tmp_path) == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_killed_writer_leaves_the_file_unchanged(tmp_path):
    path = tmp_path / "a"
    path.write_text("first")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9 and path.read_text() == "first"
    assert [name.startswith(PARTIAL) for name in sorted(os.listdir(tmp_path))] == [True, False]


def test_a_stale_partial_file_is_removed_first_and_a_fresh_one_kept(tmp_path):
    path, stale, fresh = (tmp_path / n for n in ("a[1]", ".partial-1-a[1]", ".partial-2-a[1]"))
    (tmp_path / f"{PARTIAL}{os.getpid()}-a[1]").write_text("of a process of the same number")
    for partial in (stale, fresh):
        partial.write_text("half")
    os.utime(stale, (0, 0))
    with replacing(path) as partial:
        partial.write_text("whole")
        assert not stale.exists()
    assert sorted(os.listdir(tmp_path)) == [fresh.name, path.name]


def _write_often(job):
    path, letter = job
    for _ in range(200):
        with replacing(path) as partial:
            partial.write_text(letter * 10_000)
        found = path.read_text()
        if len(set(found)) != 1 or len(found) != 10_000:
            return False
    return True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_concurrent_writers_each_write_a_whole_file(tmp_path):
    with multiprocessing.get_context("fork").Pool(3) as pool:
        assert all(pool.map(_write_often, [(tmp_path / "a", letter) for letter in "xyz"]))
    assert os.listdir(tmp_path) == ["a"]

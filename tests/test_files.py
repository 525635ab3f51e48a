"""Replacing a file: its content is the earlier or the later one, never a part."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from bev.files import PARTIAL, remove_stale, replacing

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


def test_a_writer_lists_no_folder_and_leaves_the_files_of_others(tmp_path):
    path, other = tmp_path / "a[1]", tmp_path / f"{PARTIAL}1-a[1]"
    other.write_text("half")
    os.utime(other, (0, 0))
    with patch.object(Path, "glob", side_effect=AssertionError), replacing(path) as partial:
        partial.write_text("whole")
    assert sorted(os.listdir(tmp_path)) == [other.name, path.name]


def test_writers_of_two_machines_may_have_the_same_number(tmp_path):
    """Processes in containers that share a disk are often of one number."""
    path = tmp_path / "a"
    with replacing(path) as first:
        first.write_text("whole")
        with replacing(path) as second:
            second.write_text("later")
        assert path.read_text() == "later"
    assert path.read_text() == "whole" and os.listdir(tmp_path) == ["a"]


def test_stale_partial_files_are_removed_and_fresh_ones_and_all_others_kept(tmp_path):
    names = [f"{PARTIAL}1-a", f"{PARTIAL}2-a", "a", f"{PARTIAL}folder"]
    stale, fresh, whole, folder = (tmp_path / name for name in names)
    for path in (stale, fresh, whole, folder / f"{PARTIAL}3-a"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("half")
    link, dangling = tmp_path / f"{PARTIAL}4-a", tmp_path / f"{PARTIAL}5-a"
    link.symlink_to(fresh)
    dangling.symlink_to(tmp_path / "nowhere")
    for path in (stale, whole, folder, link, dangling):
        os.utime(path, (0, 0), follow_symlinks=False)
    remove_stale(tmp_path)
    assert sorted(tmp_path.rglob("*")) == sorted([fresh, whole, folder, folder / f"{PARTIAL}3-a"])
    remove_stale(tmp_path / "nowhere")


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

"""Location of the cached index, and detection of changed tables."""

import os
import shutil
import time
from pathlib import Path

import pytest
from index_files import content, names

from bev.data.nuscenes import index_cache
from bev.data.nuscenes.index_cache import open_index
from bev.errors import DataError
from bev.lab.benchmark.synthetic_tables import VERSION

pytestmark = pytest.mark.usefixtures("user_cache")


@pytest.fixture()
def hashings(monkeypatch) -> list[Path]:
    """The tables that the test hashes, with records trusted whatever their age."""
    paths, content_hash = [], index_cache.content_hash
    monkeypatch.setattr(index_cache, "_TICK", -1e15)
    monkeypatch.setattr(
        index_cache, "content_hash", lambda path: (paths.append(path), content_hash(path))[1]
    )
    return paths


def test_the_index_is_beside_the_data_and_built_once(root, user_cache, builds):
    first = open_index(root, VERSION)
    assert first.folder.parent == root / ".index" and not user_cache.exists()
    assert content(open_index(root, VERSION)) == content(first)
    assert len(builds) == 1
    assert set(names(root / ".index")) == {first.folder.name, "lock", f"{VERSION}.json"}


def test_reopening_reads_no_table_and_writes_nothing(root, hashings):
    open_index(root, VERSION)
    assert len(hashings) == 10
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    open_index(root, VERSION)
    assert len(hashings) == 10
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_read_only_root_is_left_alone(root, user_cache, builds):
    """This holds for the superuser too, whom the file mode does not stop."""
    root.chmod(0o555)
    try:
        before = names(root)
        index = open_index(root, VERSION)
        open_index(root, VERSION)
        assert index.folder.parent == user_cache and names(root) == before
        assert len(builds) == 1
    finally:
        root.chmod(0o755)


def test_bev_cache_takes_precedence_over_the_default_locations(root, tmp_path, monkeypatch):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "named"))
    assert open_index(root, VERSION).folder.parent == tmp_path / "named" / "index"
    assert not (root / ".index").exists()
    (tmp_path / "file").touch()
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"No location for the index.*file.index.*set BEV_CACHE"):
        open_index(root, VERSION)


def test_a_changed_table_is_noticed(root, builds):
    before = open_index(root, VERSION)
    path = root / VERSION / "sample.json"
    path.write_text(path.read_text().replace("1532402927647951", "1532402927647952"))
    after = open_index(root, VERSION)
    assert len(builds) == 2 and after.folder != before.folder
    assert (after.sample.timestamp != before.sample.timestamp).sum() == 3  # one per scene
    path.write_text(path.read_text().replace("1532402927647952", "1532402927647951"))
    assert open_index(root, VERSION).folder == before.folder
    assert len(builds) == 2


def test_a_change_that_keeps_size_and_modification_time_is_noticed(root, hashings):
    """A copy that preserves times makes such a change; the inode's change time reveals it."""
    before = open_index(root, VERSION)
    path = root / VERSION / "sample_annotation.json"
    times = path.stat()
    text = path.read_text()
    path.write_text(text.replace('"num_radar_pts": 0', '"num_radar_pts": 7'))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_size == times.st_size and path.stat().st_mtime_ns == times.st_mtime_ns
    assert (open_index(root, VERSION).sample_annotation.num_radar_pts == 7).all()
    assert (before.sample_annotation.num_radar_pts == 0).all()


def test_a_record_of_tables_just_written_is_not_trusted(root, monkeypatch):
    """Two writes may get the same timestamp from the file system's clock."""
    paths, content_hash = [], index_cache.content_hash
    monkeypatch.setattr(
        index_cache, "content_hash", lambda path: (paths.append(path), content_hash(path))[1]
    )
    now = time.time_ns()  # the clock stands still: on a slow machine the tables would grow old
    monkeypatch.setattr(index_cache.time, "time_ns", lambda: now)
    (root / VERSION / "scene.json").touch()
    open_index(root, VERSION)
    open_index(root, VERSION)
    assert len(paths) == 20
    monkeypatch.setattr(index_cache.time, "time_ns", lambda: now + 3600 * 10**9)
    open_index(root, VERSION)
    open_index(root, VERSION)
    assert len(paths) == 30


def test_a_copied_root_reuses_its_index(root, tmp_path, builds):
    first = open_index(root, VERSION)
    copy = shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copy)  # times are new
    again = open_index(copy, VERSION)
    assert len(builds) == 1 and again.folder.name == first.folder.name
    assert again.folder.is_relative_to(copy)


def test_a_read_only_copy_keeps_its_index(root, tmp_path, user_cache, builds):
    """The existing index is used, as on a shared disk, and recorded in the user cache."""
    first = open_index(root, VERSION)
    copy = shutil.copytree(root, tmp_path / "copy", copy_function=shutil.copy)
    for path in (copy, copy / ".index"):
        path.chmod(0o555)
    try:
        for _ in range(2):
            again = open_index(copy, VERSION)
            assert again.folder == copy / ".index" / first.folder.name and len(builds) == 1
        assert not any(path.is_dir() for path in user_cache.iterdir())
    finally:
        for path in (copy, copy / ".index"):
            path.chmod(0o755)


def test_a_moved_root_needs_no_new_record(root, tmp_path, hashings):
    open_index(root, VERSION)
    moved = root.rename(tmp_path / "moved")
    assert open_index(moved, VERSION).folder.parent == moved / ".index"
    assert len(hashings) == 10


def test_two_roots_of_equal_tables_share_an_index(root, tmp_path, monkeypatch, builds):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "shared"))
    copy = shutil.copytree(root, tmp_path / "copy")
    first, second = open_index(root, VERSION), open_index(copy, VERSION)
    assert first.folder == second.folder and len(builds) == 1
    assert (first.root, second.root) == (root, copy)


def test_tables_that_change_while_they_are_read_are_noticed(root, monkeypatch):
    run = index_cache._run

    def write_and_run(*job):
        path = root / VERSION / "scene.json"
        path.write_text(path.read_text() + "\n")
        run(*job)

    with monkeypatch.context() as patch:
        patch.setattr(index_cache, "_run", write_and_run)
        with pytest.raises(DataError, match=r"scene.json changed while it was read"):
            open_index(root, VERSION)
    open_index(root, VERSION)


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


def test_an_invalid_record_is_rewritten(root):
    open_index(root, VERSION)
    record = root / ".index" / f"{VERSION}.json"
    whole = record.read_text()
    for text in ("", "[]", "{}", '{"index": 3, "tables": {}}'):
        record.write_text(text)
        assert len(open_index(root, VERSION).sample.token) == 12
        assert record.read_text().count("\n") == whole.count("\n")

"""Caches that others may write to: nothing in them leads out of them, or waits forever."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from own_data import VERSION, write_own_data

from bev.data.images.cache import FORMAT, ImageCache
from bev.data.images.loading import decode
from bev.data.nuscenes.index_cache import open_index
from bev.errors import DataError
from bev.files import replacing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return write_own_data(tmp_path_factory.mktemp("own") / "root")


@pytest.fixture
def root(made, tmp_path, monkeypatch) -> Path:
    """A data root without caches, whose user has a cache of their own in ``tmp_path``."""
    monkeypatch.delenv("BEV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    return shutil.copytree(made, tmp_path / "root", ignore=shutil.ignore_patterns(".*"))


@pytest.fixture
def outside(tmp_path) -> Path:
    """A folder with a file that must not change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "precious").write_text("precious")
    return folder


def plant(kind: str, path: Path, outside: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(outside if kind == "folder" else outside / "precious")


def test_a_cache_folder_that_is_a_link_is_not_used(root, outside, tmp_path):
    for kind in ("index", "images"):
        plant("folder", root / f".{kind}", outside)
    assert open_index(root, VERSION).folder.parent == tmp_path / "mine" / "bev" / "index"
    assert ImageCache.open(root, 1 << 30).folder.is_relative_to(tmp_path / "mine")
    assert [path.name for path in outside.iterdir()] == ["precious"]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_lock_or_record_that_is_no_file_is_left_alone(root, outside, tmp_path, kind):
    plant(kind, root / ".index" / "lock", outside)
    plant(kind, root / ".images" / f"format-{FORMAT}" / "bytes", outside)
    assert open_index(root, VERSION).folder.parent == tmp_path / "mine" / "bev" / "index"
    image = next(root.glob("samples/*/*.jpg"))
    assert (ImageCache.open(root, 1 << 30).decode(image) == decode(image)).all()
    assert (outside / "precious").read_text() == "precious"


def test_an_index_that_is_a_link_is_built_again(root, tmp_path):
    first = open_index(root, VERSION).folder
    moved = first.rename(tmp_path / "elsewhere")
    first.symlink_to(moved)
    again = open_index(root, VERSION).folder
    assert again == first and not first.is_symlink() and moved.is_dir()


def test_a_column_that_is_a_link_is_refused(root, tmp_path):
    column = open_index(root, VERSION).folder / "scene.name.npy"
    column.rename(tmp_path / "moved.npy")
    column.symlink_to(tmp_path / "moved.npy")
    with pytest.raises(DataError, match=r"scene.name.npy is not a regular file"):
        open_index(root, VERSION)


@pytest.mark.parametrize("named", ["user's", "no cache", "..", "."])
def test_a_shared_record_that_names_another_place_is_rebuilt(root, tmp_path, named, monkeypatch):
    """Another user could neither read such an index nor know what it holds."""
    monkeypatch.setattr("bev.data.nuscenes.index_cache._TICK", -1e15)
    first = open_index(root, VERSION).folder
    other = tmp_path / "mine" / "bev" / "index" if named == "user's" else tmp_path / "other"
    other = shutil.copytree(first, other / first.name)
    record = root / ".index" / f"{VERSION}.json"
    text = named if set(named) == {"."} else str(other)
    record.write_text(json.dumps({**json.loads(record.read_text()), "index": text}))
    assert open_index(root, VERSION).folder == first
    assert json.loads(record.read_text())["index"] == first.name


def test_tables_that_the_user_has_indexed_are_indexed_again_in_a_shared_cache(root, tmp_path):
    """The record beside the data must not name the index in the user's own cache."""
    root.chmod(0o555)
    try:
        mine = open_index(root, VERSION).folder
    finally:
        root.chmod(0o755)
    (tmp_path / "mine" / "bev" / "index").rename(tmp_path / "kept")
    shutil.copytree(tmp_path / "kept" / mine.name, mine)  # without its record
    assert open_index(root, VERSION).folder == root / ".index" / mine.name


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_an_image_entry_that_is_no_file_is_neither_read_nor_written_through(root, outside, kind):
    image = next(root.glob("samples/*/*.jpg"))
    cache = ImageCache.open(root, 1 << 30)
    expected = cache.decode(image)
    entry = next(cache.folder.glob("??/*"))
    if kind == "folder":
        shutil.rmtree(entry.parent)
        plant(kind, entry.parent, outside)
    else:
        entry.unlink()
        plant(kind, entry, outside)
    assert (cache.decode(image) == expected).all()
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_text() == "precious"
    assert kind == "folder" or (entry.is_file() and not entry.is_symlink())


@pytest.mark.parametrize("size", [(-90, -160), (0, 0), (2**40, 2**40), (270 * 480, 1)])
def test_an_image_entry_of_another_size_is_written_again(root, size):
    image = next(root.glob("samples/CAM_AHEAD/*.jpg"))
    cache = ImageCache.open(root, 1 << 30)
    expected = cache.decode(image)
    entry = next(cache.folder.glob("??/*"))
    content = entry.read_bytes()
    entry.write_bytes(content[:16] + np.array(size, "<i8").tobytes() + content[32:])
    again = cache.decode(image)
    if size == (270 * 480, 1):  # fits the number of bytes: the loader compares it with the tables
        assert again.shape == (270 * 480, 1, 3)
    else:
        assert (again == expected).all() and entry.read_bytes() == content


def test_a_planted_temporary_file_is_not_written_to(tmp_path, outside, monkeypatch):
    monkeypatch.setattr("bev.files.secrets.token_hex", lambda _: "guessed")
    path = tmp_path / "a.json"
    with replacing(path) as partial:
        partial.write_text("first")
    partial.symlink_to(outside / "precious")
    with replacing(path) as again:
        assert again == partial
        again.write_text("second")
    assert (path.read_text(), (outside / "precious").read_text()) == ("second", "precious")


def test_links_that_make_up_a_data_root_are_followed(root, tmp_path):
    """Many data roots are put together from links to other disks."""
    (root / "samples").rename(tmp_path / "disk")
    (root / "samples").symlink_to(tmp_path / "disk")
    image = next((root / "samples" / "CAM_AHEAD").iterdir())
    assert cv2.imread(str(image)) is not None
    assert ImageCache.open(root, 1 << 30).decode(image).shape == (270, 480, 3)

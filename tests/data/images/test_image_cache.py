"""The image cache equals decoding, keeps its limit across processes and tolerates damage."""

import errno
import multiprocessing
import os
import pickle
import shutil
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from opened import opened

from bev.data.dataset import KeyFrames
from bev.data.images import cache as image_cache
from bev.data.images.cache import ImageCache
from bev.data.images.loading import decode
from bev.data.settings import DataConfig
from bev.data.storage.cache_place import owner
from bev.errors import ConfigError, DataError

ENTRY = 32 * 48 * 3 + 32  # bytes of the cache entry of a test image at full resolution


def write_image(path, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (32, 48, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    return path


def entries(cache):
    return list(cache.folder.glob("??/*"))


def cache_of(folder, limit):
    """A cache in the folder of its images."""
    return ImageCache(folder, limit, root=folder)


def recorded(cache):
    return int((cache.folder / "bytes").read_text())


def age(path):
    os.utime(path, (time.time() - 90_000,) * 2)


@pytest.fixture()
def decoded(monkeypatch):
    """The (file name, reduction) of each decode call of the test."""
    calls = []

    def spy(path, reduction, size):
        calls.append((path.name, reduction))
        return decode(path, reduction, size)

    monkeypatch.setattr(image_cache, "decode", spy)
    return calls


def test_an_image_is_decoded_once_for_each_reduction(tmp_path, decoded):
    path, cache = write_image(tmp_path / "a.jpg"), cache_of(tmp_path, 10**6)
    for reduction in (1, 2, 1, 2):
        assert (cache.decode(path, reduction) == decode(path, reduction)).all()
    assert decoded == [("a.jpg", 1), ("a.jpg", 2)] and len(entries(cache)) == 2


@pytest.mark.parametrize("change", ["content", "time"])
def test_a_changed_file_is_decoded_again_and_replaces_its_entry(tmp_path, decoded, change):
    path, cache = write_image(tmp_path / "a.jpg"), cache_of(tmp_path, ENTRY)
    cache.decode(path)
    stat = path.stat()
    if change == "content":  # another size, the same modification time
        write_image(path, seed=1)
        assert path.stat().st_size != stat.st_size
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    for _ in range(2):
        assert (cache.decode(path) == decode(path)).all()
    assert len(decoded) == 2 and len(entries(cache)) == 1 and not cache.full


def test_a_full_cache_keeps_its_entries_and_adds_none(tmp_path, decoded, capsys):
    cache = cache_of(tmp_path, 2 * ENTRY + ENTRY // 2)
    paths = [write_image(tmp_path / f"{i}.jpg", i) for i in range(4)]
    for path in [*paths, *paths]:
        assert (cache.decode(path) == decode(path)).all()
    assert [name for name, _ in decoded] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "2.jpg", "3.jpg"]
    assert sum(entry.stat().st_size for entry in entries(cache)) == 2 * ENTRY
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: The image cache {tmp_path} is full (")
    assert warning.count("\n") == 1 and "raise --data.image-cache" in warning


def _fill(job):
    cache, paths = job
    return [int(cache.decode(path).sum()) for path in paths]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, as a loader's workers")
def test_processes_share_the_size_limit(tmp_path, capfd):
    cache = cache_of(tmp_path, 7 * ENTRY)
    paths = [write_image(tmp_path / f"{i}.jpg", i) for i in range(16)]
    expected = [int(decode(path).sum()) for path in paths]
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(_fill, [(cache, paths[turn:] + paths[:turn]) for turn in (0, 5, 10)])
    for sums, turn in zip(found, (0, 5, 10), strict=True):
        assert sums == expected[turn:] + expected[:turn]
    assert len(entries(cache)) == 7
    assert recorded(cache) == 7 * ENTRY
    assert capfd.readouterr().err.count("is full (") == 1  # not once per process


@pytest.mark.parametrize("damage", ["cut", "empty", "folder", "record", "unwritable", "no folder"])
def test_a_damaged_cache_does_not_affect_decoding(tmp_path, damage):
    path = write_image(tmp_path / "a.jpg")
    cache = ImageCache(tmp_path / "cache", 10**6, root=tmp_path)
    cache.folder.mkdir()
    cache.decode(path)
    (entry,) = entries(cache)
    if damage in ("cut", "empty"):
        entry.write_bytes(entry.read_bytes()[: 100 if damage == "cut" else 0])
    elif damage == "folder":
        entry.unlink()
        entry.mkdir()
    elif damage == "record":
        (cache.folder / "bytes").write_text("many")
        path = write_image(tmp_path / "b.jpg")
    elif damage == "unwritable":
        entry.unlink()
        shutil.rmtree(cache.folder)
        cache.folder.write_text("a file")
    else:
        shutil.rmtree(cache.folder)
    assert (cache.decode(path) == decode(path)).all()
    if damage == "record":
        assert recorded(cache) == 2 * ENTRY


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free space on that disk"),
        (errno.EDQUOT, "free space within your quota"),
        (errno.EROFS, "choose a folder on another disk"),
        (errno.EACCES, "make it accessible, or choose another place"),
        (errno.ESTALE, "set BEV_CACHE to another folder"),
    ],
)
def test_a_failed_write_leaves_no_entry_and_the_advice_is_that_of_its_cause(
    tmp_path, monkeypatch, capsys, number, remedy
):
    path, cache = write_image(tmp_path / "a.jpg"), cache_of(tmp_path, 10**6)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    for _ in range(2):
        assert (cache.decode(path) == decode(path)).all()
    assert not entries(cache)
    (warning,) = capsys.readouterr().err.splitlines()
    assert f"cannot be written to ({os.strerror(number)}), so" in warning
    assert warning.endswith(f"; {remedy}, or set --data.image-cache 0.")


def test_a_deleted_cache_is_begun_anew(tmp_path, monkeypatch, decoded, capsys):
    """Deleting a cache is safe, also while a run uses it."""
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "caches"))
    path = write_image(tmp_path / "root" / "a.jpg")
    cache = ImageCache.open(tmp_path / "root", 10**6)
    cache.decode(path)
    shutil.rmtree(tmp_path / "caches")
    for _ in range(2):
        assert (cache.decode(path) == decode(path)).all()
    assert len(decoded) == 2 and len(entries(cache)) == 1 and recorded(cache) == ENTRY
    assert not cache.full and not capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes there alone")
def test_names_that_are_not_utf_8_are_cached_and_ordinary_ones_keep_their_entries(
    tmp_path, monkeypatch, decoded
):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path / "caches"))
    root = tmp_path / os.fsdecode(b"r\xf6\xff")
    try:
        root.mkdir()
    except OSError:
        pytest.skip("the file system accepts UTF-8 alone")
    path = root / os.fsdecode(b"caf\xe9.jpg")
    write_image(tmp_path / "a.jpg").rename(path)
    for _ in range(2):
        assert (ImageCache.open(root, 10**6).decode(path) == decode(path)).all()
    assert len(decoded) == 1
    kept = "ecb6bbaa12909ef8"
    assert owner(tmp_path, Path("/data/r\u00f6\u00e9")) == kept


def test_a_modification_time_after_2262_is_cached(tmp_path, decoded):
    path, cache = write_image(tmp_path / "a.jpg"), cache_of(tmp_path, 10**6)

    class Late(type(path)):
        def stat(self, **options):
            return os.stat_result(super().stat(**options), {"st_mtime_ns": 2**63 + 7})

    for _ in range(2):
        assert (cache.decode(Late(path)) == decode(path)).all()
    assert len(decoded) == 1 and not cache.full


def test_partial_files_of_killed_processes_are_removed_after_a_day(tmp_path, monkeypatch):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path))
    cache = ImageCache.open(tmp_path, 10**6)
    cache.decode(write_image(tmp_path / "a.jpg"))
    (entry,) = entries(cache)
    old, fresh = (entry.with_name(f".partial-{number}-a") for number in (1, 2))
    for path in (old, fresh):
        path.write_bytes(b"part")
    age(old)
    assert ImageCache.open(tmp_path, 1) and old.exists()  # an entry was just added
    age(cache.folder / "bytes")
    ImageCache.open(tmp_path, 1)
    assert not old.exists() and fresh.exists() and recorded(cache) == ENTRY


def test_space_of_deleted_entries_is_reused_after_a_day(tmp_path, monkeypatch):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path))
    cache = ImageCache.open(tmp_path, ENTRY)
    cache.decode(write_image(tmp_path / "a.jpg"))
    (entry,) = entries(cache)
    entry.unlink()
    age(cache.folder / "bytes")
    cache = ImageCache.open(tmp_path, ENTRY)
    cache.decode(write_image(tmp_path / "b.jpg"))
    assert len(entries(cache)) == 1 and not cache.full


def test_an_entry_that_another_process_wrote_is_not_written_again(tmp_path, monkeypatch):
    path, cache, written = write_image(tmp_path / "a.jpg"), cache_of(tmp_path, 10**6), []

    def slow(path, reduction, size):  # the other process finishes first
        image = decode(path, reduction, size)
        monkeypatch.setattr(image_cache, "decode", decode)
        cache_of(tmp_path, 10**6).decode(path)
        written.extend(entry.stat() for entry in entries(cache))
        return image

    monkeypatch.setattr(image_cache, "decode", slow)
    cache.decode(path)
    assert [entry.stat().st_ino for entry in entries(cache)] == [stat.st_ino for stat in written]
    assert len(written) == 1 and recorded(cache) == ENTRY


def test_without_locks_the_size_record_is_that_of_the_last_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(image_cache, "locked", lambda file: nullcontext(False))
    cache, other = cache_of(tmp_path, 10**6), cache_of(tmp_path, 10**6)
    paths = [write_image(tmp_path / f"{i}.jpg", i) for i in range(2)]
    size = image_cache._size

    def meanwhile(path):  # after the size record is read, before it is written
        monkeypatch.setattr(image_cache, "_size", size)
        other.decode(paths[1])
        return size(path)

    monkeypatch.setattr(image_cache, "_size", meanwhile)
    cache.decode(paths[0])
    assert len(entries(cache)) == 2 and recorded(cache) == ENTRY


def test_a_moved_data_root_reuses_its_entries(tmp_path, user_cache, decoded):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    write_image(first / "a.jpg")
    ImageCache.open(first, 10**6).decode(first / "a.jpg")
    first.rename(second)
    ImageCache.open(second, 10**6).decode(second / "a.jpg")
    assert len(decoded) == 1


def test_data_roots_that_share_a_cache_folder_are_kept_apart(tmp_path, monkeypatch, decoded):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path))
    stat = write_image(tmp_path / "other.jpg").stat()
    for number, root in enumerate((tmp_path / "a", tmp_path / "b")):
        root.mkdir()
        path = write_image(root / "a.jpg", number)
        with path.open("ab") as file:  # same size and modification time
            file.write(b"\0" * (3 * stat.st_size - path.stat().st_size))
            file.write(b"\xff\xd9")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        for _ in range(2):
            assert (ImageCache.open(root, 10**6).decode(path) == decode(path)).all()
    assert len(decoded) == 2


def test_missing_and_damaged_files_raise_as_without_a_cache(tmp_path):
    cache = cache_of(tmp_path, 10**6)
    with pytest.raises(DataError, match="cannot be read"):
        cache.decode(tmp_path / "none.jpg")
    (tmp_path / "text.jpg").write_text("no image")
    with pytest.raises(DataError, match="not an image"):
        cache.decode(tmp_path / "text.jpg")
    assert not entries(cache)


def test_the_cache_is_beside_the_data_or_else_in_the_user_cache(tmp_path, user_cache, capsys):
    root = tmp_path / "root"
    root.mkdir()
    assert ImageCache.open(root, 1).folder.parent == root / ".images"
    shutil.rmtree(root / ".images")
    root.chmod(0o555)
    try:
        assert ImageCache.open(root, 1).folder.parent == user_cache.parent / "images"
        shutil.rmtree(user_cache.parent / "images" / f"format-{image_cache.FORMAT}")
        (user_cache.parent / "images").chmod(0o555)
        for _ in range(2):  # splits of a run
            assert ImageCache.open(root, 1) is None
        (warning,) = capsys.readouterr().err.splitlines()
        assert warning.startswith(f"warning: No location for the image cache of {root} is writable")
        assert "set BEV_CACHE" in warning
    finally:
        root.chmod(0o755)


def test_samples_are_bit_identical_with_the_cache(synthetic_world, tmp_path, monkeypatch):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path))
    config = DataConfig(root=synthetic_world, version="v1.0-synthetic", image_size=(128, 352))
    frames = opened(config).frames("synthetic_train")[:2]
    plain = KeyFrames(frames, config, training=True)
    cached = KeyFrames(frames, replace(config, image_cache=0.1), training=True)
    cached = pickle.loads(pickle.dumps(cached))  # as a loader's worker receives it
    for _ in range(2):
        for key in ((0, 0), (0, 1), (1, 0)):
            assert torch.equal(plain[key].views.images, cached[key].views.images)
    assert list((tmp_path / "images").glob("*/??/*"))


def test_no_cache_is_created_by_default(synthetic_world, tmp_path, monkeypatch):
    monkeypatch.setenv("BEV_CACHE", str(tmp_path))
    config = DataConfig(root=synthetic_world, version="v1.0-synthetic")
    KeyFrames(opened(config).frames("synthetic_train"), config, training=True)[0]
    assert not (tmp_path / "images").exists()
    with pytest.raises(ConfigError, match="image_cache"):
        DataConfig(image_cache=-1.0)

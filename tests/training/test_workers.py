"""Dataloader workers within the limits of the machine: shared memory, open files, folders."""

import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from commands import ROOT

from bev.data.batch import collate
from bev.data.dataset import KeyFrames
from bev.data.settings import AdjacentConfig, DataConfig
from bev.errors import DataError
from bev.training import workers
from bev.training.workers import (
    PREFETCH,
    batch_bytes,
    ending_workers,
    shared_collate,
    worker_count,
)

CONFIG = DataConfig(image_size=(64, 176), batch_size=2, workers=8)

# Loads the same two frames 64 times, with a small /dev/shm or few open files.
LOAD = """
import sys
from dataclasses import replace
from pathlib import Path
from bev.config import load_file
from bev.data.dataset import KeyFrames
from bev.errors import BevError
from bev.training.datamodule import make_loader

root, batch, workers = sys.argv[1:4]
data = replace(load_file("lss_synthetic").data, root=Path(root), batch_size=int(batch))
data = replace(data, workers=int(workers), image_size=(64, 176), lidar=False)
frames = KeyFrames(data.source.open(data).training_frames(), data, training=True)
count = 0
for batch in make_loader(frames, [n % 2 for n in range(64 * data.batch_size)]):
    count += 1
print("batches", count)
"""


@pytest.fixture
def shared_memory(monkeypatch, tmp_path):
    """Function that sets the free space of /dev/shm, bytes."""
    monkeypatch.setattr(workers, "SHARED_MEMORY", tmp_path)
    workers._warn_of_few.cache_clear()

    def free(size):
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=size))

    return free


def test_only_workers_whose_batches_fit_into_shared_memory_are_used(shared_memory, capsys):
    batch = batch_bytes(CONFIG)
    for free, processes, expected in (
        ((PREFETCH * 8 + 1) * batch, 1, 8),
        ((PREFETCH * 8 + 1) * batch - 1, 1, 7),
        ((PREFETCH * 8 + 1) * batch, 2, 3),
        (batch, 1, 0),
        (0, 1, 0),
    ):
        shared_memory(free)
        assert worker_count(CONFIG, processes) == expected
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all("--shm-size 1g" in line for line in lines)
    assert "8 dataloader workers may need" in lines[0] and "so 7 are used" in lines[0]


def test_few_workers_are_reported_once_and_by_the_first_process(shared_memory, capsys, monkeypatch):
    """The free memory changes between the loaders of training and of validation."""
    for first, number in (("RANK", "1"), ("SLURM_PROCID", "1"), ("LOCAL_RANK", "0")):
        with monkeypatch.context() as patch:
            patch.setenv(first, number)
            workers._warn_of_few.cache_clear()
            for free in (2**20, 2**20 + 2**18):
                shared_memory(free)
                assert worker_count(CONFIG, 1) == 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == (number == "0")


def test_a_batch_is_smaller_than_estimated(synthetic_world, quick):
    data = replace(quick.data, batch_size=2, lidar=True, adjacent=AdjacentConfig(previous=1))
    frames = KeyFrames(data.source.open(data).training_frames(), data, training=True)
    batch = collate([frames[0], frames[1]])
    tensors = list(workers._tensors_of(batch))
    images = batch.views.images.nbytes + batch.adjacent[0].images.nbytes
    size = sum(tensor.nbytes for tensor in tensors)
    assert images < size < batch_bytes(data) == images + 2 * workers._REST
    assert len(tensors) <= workers._tensors(data) < 2 * len(tensors)


def test_a_batch_without_room_is_an_error_of_the_data(monkeypatch, synthetic_world, quick):
    """The worker raises it, so that it reaches the training process instead of being lost."""
    data = quick.data
    sample = KeyFrames(data.source.open(data).training_frames(), data, training=True)[0]
    assert not any(t.is_shared() for t in workers._tensors_of(shared_collate([sample])))
    monkeypatch.setattr(workers, "get_worker_info", lambda: object())
    assert all(t.is_shared() for t in workers._tensors_of(shared_collate([sample])))

    def full(tensor):
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr("torch.Tensor.share_memory_", full)
    with pytest.raises(DataError, match=r"No space left on device.*--data.workers.*--shm-size"):
        shared_collate([sample])


def test_a_worker_that_the_system_ended_is_one_sentence():
    with pytest.raises(DataError, match=r"Bus error.*--data.workers"), ending_workers():
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is")


def test_a_missing_or_long_temporary_folder_is_one_sentence(monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr("multiprocessing.util.get_temp_dir", none)
    with pytest.raises(DataError, match=r"No usable temporary directory.*TMPDIR"):
        worker_count(CONFIG, 1)
    assert worker_count(replace(CONFIG, workers=0), 1) == 0
    monkeypatch.setattr("multiprocessing.util.get_temp_dir", lambda: "/tmp/" + "long" * 30)
    with pytest.raises(DataError, match="too long for sockets"):
        worker_count(CONFIG, 1)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [((1024, 20_000), 2), ((1024, 1024), "file_system"), ((20_000, 20_000), None)],
)
def test_the_limit_of_open_files_is_raised_or_no_files_are_kept_open(monkeypatch, limits, expected):
    resource = pytest.importorskip("resource")
    done = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: done.append(pair))
    monkeypatch.setattr("torch.multiprocessing.set_sharing_strategy", done.append)
    worker_count(replace(CONFIG, batch_size=8), 1)
    if expected == 2:
        ((soft, hard),) = done
        assert 1024 < soft < hard == 20_000
    else:
        assert done == ([expected] if expected else [])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="mounts and limits of Linux")
@pytest.mark.parametrize(
    ("before", "batch", "expected"),
    [
        ("mount -t tmpfs -o size=4m none /dev/shm", 2, "batches 64"),
        ("mount -t tmpfs -o size=64k none /dev/shm", 2, "batches 64"),
        ("ulimit -n 1024", 8, "batches 64"),  # soft and hard limit
        ("ulimit -Sn 1024", 8, "batches 64"),
    ],
)
def test_batches_arrive_within_real_limits(synthetic_world, before, batch, expected):
    command = f"{before} && exec {sys.executable} -c '{LOAD}' {synthetic_world} {batch} 8"
    isolated = ["unshare", "-rm"] if before.startswith("mount") else []
    if isolated and subprocess.run([*isolated, "true"]).returncode:
        pytest.skip("no user namespaces")
    done = subprocess.run(
        [*isolated, "bash", "-c", command], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert expected in done.stdout, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    assert ("warning: " in done.stderr) == bool(isolated)

"""Benchmark of data loading: samples per second, time by stage, and memory of a dataloader worker.

Each process uses one thread. Files are read repeatedly and so come from the page cache of the
operating system: on a slow disk only the stage ``read`` takes longer.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from bev.config import Experiment
from bev.data.adjacent import ALONE
from bev.data.dataset import KeyFrames
from bev.data.images.cache import ImageCache
from bev.data.settings import DataChoice, DataConfig
from bev.data.source import Frames
from bev.errors import ConfigError
from bev.lab.benchmark import published_data
from bev.lab.benchmark.data_stages import stage_seconds
from bev.lab.benchmark.records import write_csv
from bev.lab.benchmark.timing import Work, median_seconds
from bev.lab.synthetic import TRAIN_SPLIT, VERSION, WorldConfig, make_world
from bev.machine import default_device, usable_cores
from bev.models import CenterHeadConfig
from bev.models.heads.center.targets import center_targets
from bev.training.datamodule import make_loader

# Images of nuScenes' size, with a JPEG quality that gives files of the same size, too.
SYNTHETIC = WorldConfig(1, 1, frames_per_scene=4, image_size=(1600, 900), jpeg_quality=90)
_ENDLESS = 100_000  # key frames, more than are loaded
_KEYS = 12  # number of measured draws of the augmentation
PUBLISHED, OURS, CACHED = "published steps (PIL)", "ours", "ours, images from the cache"


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        part: "stage", "path" (a whole sample, in one process) or "workers".
        name: name of the stage, path or number of workers.
        milliseconds: time per sample.
        megabytes: proportional set size of a worker (shared pages are divided among the processes
            that share them); 0 if not measured.
    """

    part: str
    name: str
    milliseconds: float
    megabytes: float = 0.0


def run(
    out: Path,
    config: Experiment,
    choice: DataChoice,
    workers: tuple[int, ...] = (),
    seconds: float = 10.0,
) -> list[Row]:
    """Measure and print; write ``data.csv`` into ``out``.

    Args:
        out: output folder.
        config: config whose key frames are measured, without adjacent frames and lidar.
        choice: location of the data; synthetic images are made if no root is chosen and the root of
            the config does not exist.
        workers: numbers of dataloader workers; () for 0, 1, 2, 4 ... up to the number of CPU cores.
        seconds: time limit of each measurement, seconds.
    """
    with _one_thread(), tempfile.TemporaryDirectory() as folder:
        data = choice.apply(replace(config.data, image_cache=0.0, lidar=False, adjacent=ALONE))
        if choice.root is None and not data.root.is_dir():
            print(f"{data.root} does not exist: measuring on synthetic images")
            root = make_world(Path(folder) / "synthetic", SYNTHETIC)
            data = replace(data, root=root, version=VERSION, train_split=TRAIN_SPLIT)
        frames = data.source.open(data).frames(data.splits[0])
        camera = frames[0].cameras[0]
        print(
            f"{len(data.camera_names)} images of {camera.size[1]}x{camera.size[0]},"
            f" {camera.path.stat().st_size / 1e3:.0f} kB, to {data.image_size[1]}x"
            f"{data.image_size[0]}; {len(frames)} key frames of {data.root}"
        )
        loaded = KeyFrames(frames, data, training=True)
        keys = [(number, number % len(frames)) for number in range(_KEYS)]
        rows = _stages(loaded, config, keys, seconds)
        rows += _paths(loaded, config, keys, Path(folder), seconds)
        for number in workers or _worker_counts():
            rows.append(_loading(frames, replace(data, workers=number), seconds))
    print(table(rows))
    write_csv(rows, out / "data.csv")
    return rows


def table(rows: list[Row]) -> str:
    """Human-readable table of the rows."""
    paths = {row.name: row.milliseconds for row in rows if row.part == "path"}
    stages = [row for row in rows if row.part == "stage"]
    total = sum(row.milliseconds for row in stages)
    lines = [f"\n{'stage':28} {'ms/sample':>12} {'share':>8}"]
    lines += [f"{r.name:28} {r.milliseconds:12.2f} {r.milliseconds / total:8.1%}" for r in stages]
    lines.append(
        f"\n{'read to targets, one core':28} {'ms/sample':>12} {'samples/s':>9} {'speed':>6}"
    )
    for name, taken in paths.items():
        speed = paths[PUBLISHED] / taken
        lines.append(f"{name:28} {taken:12.2f} {1000 / taken:9.1f} {speed:5.2f}x")
    lines.append(f"\n{'dataloader':28} {'samples/s':>12} {'/ worker':>9} {'memory':>11}")
    for row in rows:
        if row.part == "workers":
            rate, number = 1000 / row.milliseconds, int(row.name.split()[0])
            memory = f"{row.megabytes:8.0f} MB" if row.megabytes else f"{'-':>11}"
            lines.append(f"{row.name:28} {rate:12.1f} {rate / max(number, 1):9.1f} {memory}")
    return "\n".join(lines)


def _stages(
    data: KeyFrames, config: Experiment, keys: list[tuple[int, int]], seconds: float
) -> list[Row]:
    targets = _targets(config, center_targets)
    taken = stage_seconds(data, targets, keys, default_device(), seconds)
    return [Row("stage", name, 1e3 * value) for name, value in taken.items()]


def _paths(
    data: KeyFrames,
    config: Experiment,
    keys: list[tuple[int, int]],
    folder: Path,
    seconds: float,
) -> list[Row]:
    """Time samples with targets, in rounds: as published, ours, and ours from a warm cache."""
    cached = KeyFrames(data.frames, data.config, training=True)
    cached.decoded = ImageCache(folder, 2**40, data.config.root).decode
    ours, published = (
        _targets(config, how) for how in (center_targets, published_data.center_targets)
    )
    turns = {name: count() for name in (PUBLISHED, OURS, CACHED)}

    def work(name: str, load: Callable, targets: Callable) -> Work:
        def turn() -> None:
            epoch, index = keys[next(turns[name]) % len(keys)]
            targets(load(epoch, index).boxes)

        return turn

    for key in keys:
        cached[key]  # fills the cache
    works = {
        PUBLISHED: work(PUBLISHED, lambda e, i: published_data.load_sample(data, e, i), published),
        OURS: work(OURS, lambda e, i: data[e, i], ours),
        CACHED: work(CACHED, lambda e, i: cached[e, i], ours),
    }
    taken = median_seconds(works, torch.device("cpu"), rounds=1000, seconds=3 * seconds)
    return [Row("path", name, 1e3 * value) for name, value in taken.items()]


def _targets(config: Experiment, how: Callable) -> Callable[[list], list]:
    """Function from the boxes of a batch to the targets of all tasks of the head."""
    head, grid, labels = config.model.head, config.model.grid, config.model.label_space
    if not isinstance(head, CenterHeadConfig):
        raise ConfigError(f"model.head is {head}; the data benchmark needs a CenterHeadConfig.")
    overlap, min_radius = head.gaussian_overlap, head.min_radius
    tasks = [
        [labels.names.index(name) for name in classes] for classes in head.resolved_tasks(labels)
    ]
    return lambda gt_boxes: how(gt_boxes, tasks, grid, overlap, min_radius)


def _loading(frames: Frames, data: DataConfig, seconds: float) -> Row:
    """Measure the dataloader of a training run, with batches taken as fast as they come."""
    batches = iter(endless_loader(frames, data))
    # Skip the batches that the workers prepare before the clock starts: two each.
    for _ in range(2 * data.workers + 1):
        next(batches)
    begin, number = time.perf_counter(), 0
    while number < max(data.workers, 3) or time.perf_counter() - begin < seconds:
        next(batches)
        number += 1
    taken = (time.perf_counter() - begin) / (number * data.batch_size)
    pids = [child.pid for child in multiprocessing.active_children()]
    sizes = [_proportional_size(pid) for pid in pids if pid is not None]
    memory = sum(sizes) / len(sizes) if data.workers and sizes else _proportional_size("self")
    return Row("workers", f"{data.workers} workers", 1e3 * taken, memory / 1e6)


def endless_loader(frames: Frames, data: DataConfig) -> DataLoader:
    """Dataloader of a training run that repeats the frames for longer than any measurement."""
    endless = frames.take(np.resize(np.arange(len(frames)), _ENDLESS))
    return make_loader(KeyFrames(endless, data, training=True))


def _proportional_size(pid: int | str) -> float:
    """Memory of a process, bytes; shared pages count as shares. 0 if unknown."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(1024.0 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _worker_counts() -> tuple[int, ...]:
    cores = usable_cores()
    return (0, *(n for n in (1, 2, 4, 8, 16, 32, 64) if n < cores), cores)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])

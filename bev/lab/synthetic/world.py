"""Makes a world on disk: a nuScenes data root, whole or not there at all.

Everything is written into a hidden sibling folder, scene by scene, and renamed to the wanted name
at the very end. A run that was cut off leaves that folder; the next run with the same settings
goes on from its finished scenes. A finished world carries ``synthetic_world.json`` with its settings.
"""

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from bev.errors import ConfigError, DataError
from bev.lab.synthetic.config import TRAIN_SPLIT, VAL_SPLIT, VERSION, SceneKey, WorldConfig
from bev.lab.synthetic.rig import LIDAR
from bev.lab.synthetic.writing.scene_writer import SHARDS, prepare_process, shard_file, write_scene
from bev.lab.synthetic.writing.tables import EXPANSIONS, MAP_FILE, TABLES, shared_rows
from bev.machine import usable_cores

MARKER = "synthetic_world.json"
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def find_world(root: Path, config: WorldConfig) -> Path | None:
    """The root, if the finished world of this config stands there; None if nothing does.

    Raises DataError where something else does: it is never overwritten.
    """
    root = Path(root)
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    marker = root / MARKER
    if not marker.is_file():
        raise DataError(
            f"{root} holds something that is not a synthetic world; give another folder."
        )
    found = json.loads(marker.read_text())
    wanted = config.fingerprint()
    if found != wanted:
        raise DataError(
            f"{root} holds a synthetic world of other settings ({_difference(found, wanted)}); "
            "delete it or give another folder."
        )
    return root


def make_world(
    root: Path, config: WorldConfig, workers: int | None = None, progress: bool = True
) -> Path:
    """Makes the world of ``config`` at ``root``, or finds it there, and returns the root.

    workers: processes, all usable cores by default; what is written does not depend on it. With
    several, the calling script needs the usual ``if __name__ == "__main__":``.

    Raises DataError where the root holds something else, ConfigError for workers below 1.
    """
    root = Path(root).absolute()
    if find_world(root, config) is not None:
        return root
    if workers is None:
        workers = usable_cores()
    if workers < 1:
        raise ConfigError(f"workers is {workers}; give at least 1.")
    folder = _start(root, config)
    todo = [key for key in config.scene_keys() if not shard_file(folder, key).is_file()]
    frames = config.frames_per_scene
    total = (config.train_scenes + config.val_scenes) * frames
    with tqdm(
        total=total,
        initial=total - len(todo) * frames,
        desc=f"making {root.name}",
        unit="frame",
        disable=not progress,
    ) as bar:
        for done in _run([(folder, config, key) for key in todo], workers):
            bar.update(done)
    _write_tables(folder, config)
    shutil.rmtree(folder / SHARDS)
    (folder / MARKER).write_text(json.dumps(config.fingerprint(), indent=1) + "\n")
    os.replace(folder, root)
    return root


def _difference(found: dict, wanted: dict) -> str:
    """The first setting in which two fingerprints differ, in words."""
    mine, theirs = ({"lens": "pinhole", **f, **f.get("settings", {})} for f in (wanted, found))
    for name in mine:
        if name != "settings" and theirs.get(name) != mine[name]:
            return f"its {name} is {theirs.get(name)}, wanted {mine[name]}"
    return "its marker file has other entries"


def _start(root: Path, config: WorldConfig) -> Path:
    """The folder in which the world grows; leftovers of other settings are cleared away."""
    folder = root.parent / f".{root.name}.partial"
    marker = folder / MARKER
    if folder.exists():
        if not marker.is_file() and any(folder.iterdir()):
            raise DataError(
                f"{folder} is needed to make the world and holds something else; remove it."
            )
        if marker.is_file() and marker.read_text() != _unfinished(config):
            shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text(_unfinished(config))
    for channel in (*config.cameras, LIDAR):
        (folder / "samples" / channel).mkdir(parents=True, exist_ok=True)
    for name in (EXPANSIONS, "sweeps", VERSION, SHARDS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def _unfinished(config: WorldConfig) -> str:
    return json.dumps({"unfinished": config.fingerprint()})


def _run(jobs: list[tuple[Path, WorldConfig, SceneKey]], workers: int) -> Iterator[int]:
    """Writes the scenes, in this process or in several; yields the key frames of each."""
    workers = min(workers, len(jobs))
    if workers <= 1:
        threads = cv2.getNumThreads()
        prepare_process()
        try:
            for job in jobs:
                yield write_scene(job)
        finally:
            cv2.setNumThreads(threads)
        return
    with _single_threaded():
        pool = multiprocessing.get_context("spawn").Pool(workers, initializer=prepare_process)
    with pool:
        yield from pool.imap_unordered(write_scene, jobs)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """New processes started inside take one thread each for linear algebra."""
    before = {name: os.environ.get(name) for name in _THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _write_tables(folder: Path, config: WorldConfig) -> None:
    tables: dict[str, list] = {name: [] for name in TABLES}
    keys = config.scene_keys()
    for rows in [
        shared_rows(config.cameras),
        *(json.loads(shard_file(folder, k).read_text()) for k in keys),
    ]:
        for name, entries in rows.items():
            tables[name] += entries
    for name, rows in tables.items():
        (folder / VERSION / f"{name}.json").write_text(json.dumps(rows))
    splits = {
        split: [k.name for k in keys if k.split == split] for split in (TRAIN_SPLIT, VAL_SPLIT)
    }
    (folder / VERSION / "splits.json").write_text(json.dumps(splits, indent=1))
    _, mask = cv2.imencode(".png", np.full((64, 64), 255, np.uint8))
    (folder / MAP_FILE).write_bytes(mask.tobytes())

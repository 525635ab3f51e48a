"""Generation of a synthetic world on disk, as a nuScenes data root that is never incomplete.

All files are written into a hidden sibling folder, scene by scene, and the folder is renamed to the
data root at the end. An interrupted run leaves that folder; the next run with the same settings
resumes after its finished scenes. A finished world contains ``synthetic_world.json`` with its
settings.
"""

import itertools
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from tqdm import tqdm

from bev.cores import usable_cores
from bev.data.nuscenes.writing.tables import write_map_mask, write_tables
from bev.errors import ConfigError, DataError
from bev.lab.synthetic.config import TRAIN_SPLIT, VAL_SPLIT, VERSION, SceneKey, WorldConfig
from bev.lab.synthetic.rig import LIDAR
from bev.lab.synthetic.writing.scene_writer import SHARDS, prepare_process, shard_file, write_scene
from bev.lab.synthetic.writing.tables import EXPANSIONS, MAP_FILE, world_rows

MARKER = "synthetic_world.json"
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def find_world(root: Path, config: WorldConfig) -> Path | None:
    """Find the finished world of a config.

    Returns:
        The root if it contains the world; None if the root does not exist or is empty.

    Raises:
        DataError: if the root contains anything else; it is never overwritten.
    """
    root = Path(root)
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return None
    marker = root / MARKER
    if not marker.is_file():
        raise DataError(
            f"{root} contains files that are not a synthetic world; give another folder."
        )
    existing = json.loads(marker.read_text())
    wanted = config.fingerprint()
    if existing != wanted:
        raise DataError(
            f"{root} contains a synthetic world of other settings "
            f"({_difference(existing, wanted)}); delete it or give another folder."
        )
    return root


def make_world(
    root: Path, config: WorldConfig, workers: int | None = None, progress: bool = True
) -> Path:
    """Generate the world of ``config`` at ``root``, unless it exists already.

    Args:
        root: data root of the world.
        config: settings of the world.
        workers: number of processes, all usable cores by default; the files do not depend on it.
            With several, the calling script needs the usual ``if __name__ == "__main__":``.
        progress: True for a progress bar.

    Returns:
        The root as an absolute path.

    Raises:
        DataError: if the root contains anything else.
        ConfigError: if ``workers`` is below 1.
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
        desc=f"generating {root.name}",
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


def _difference(existing: dict, wanted: dict) -> str:
    """Description of the first setting in which two fingerprints differ."""
    new, old = ({"lens": "pinhole", **f, **f.get("settings", {})} for f in (wanted, existing))
    for name in new:
        if name != "settings" and old.get(name) != new[name]:
            return f"its {name} is {old.get(name)}, wanted {new[name]}"
    return "its marker file has other entries"


def _start(root: Path, config: WorldConfig) -> Path:
    """Create the folder of the unfinished world; remove an earlier one of other settings."""
    folder = root.parent / f".{root.name}.partial"
    marker = folder / MARKER
    if folder.exists():
        if not marker.is_file() and any(folder.iterdir()):
            raise DataError(
                f"{folder} is needed to generate the world but contains other files; remove it."
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
    """Write the scenes in one or several processes; yields the number of key frames of each."""
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
    """Context in which new processes use one thread each for linear algebra."""
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
    keys = config.scene_keys()
    scenes = (json.loads(shard_file(folder, key).read_text()) for key in keys)
    splits = {
        split: [k.name for k in keys if k.split == split] for split in (TRAIN_SPLIT, VAL_SPLIT)
    }
    write_tables(folder / VERSION, itertools.chain([world_rows(config.cameras)], scenes), splits)
    write_map_mask(folder / MAP_FILE)

"""Which key frames belong to a split: an official one, a version's own, or a fold.

A version's own splits stand in its ``splits.json``; folds are those of ``bev.data.folds``.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bev.data.folds import fold_rows, is_fold
from bev.data.nuscenes.index import Index
from bev.errors import DataError

_SPLITS_OF_VERSION = {
    "v1.0-trainval": ("train", "val"),
    "v1.0-mini": ("mini_train", "mini_val"),
    "v1.0-test": ("test", "test"),
    "v1.0-synthetic": ("synthetic_train", "synthetic_val"),
}
OFFICIAL_VERSIONS = tuple(_SPLITS_OF_VERSION)


def default_splits(version: str) -> tuple[str, str]:
    """The usual (training, validation) split names of a version.

    Raises:
        DataError: where the version is none of nuScenes' own.
    """
    for known, splits in _SPLITS_OF_VERSION.items():
        if version == known or version.endswith(known.split("-")[1]):
            return splits
    raise DataError(
        f"Version {version} has no usual splits; name them: --data.train-split, --data.val-split."
    )


def split_rows(index: Index, split: str) -> np.ndarray:
    """Rows of a split's samples, ordered by scene name and time.

    Args:
        split: an official split, one of the version's ``splits.json``, or a fold's
            (``bev.data.folds.fold_splits``).

    Raises:
        DataError: where the split is unknown or the data set has no sample of it.
    """
    where = index.root / index.version
    if is_fold(split):
        _check_reserved(index, split)
        rows = fold_rows(index.sample.scene, index.scene.name, split, str(where))
    else:
        names = _scene_names(index, split)
        scenes = np.flatnonzero([name.decode() in names for name in index.scene.name])
        rows = np.flatnonzero(np.isin(index.sample.scene, scenes))
    if not len(rows):
        raise DataError(
            f"{where} has no sample of split {split!r}, though the split is known; the tables are"
            " incomplete, or another split is meant."
        )
    scene = index.scene.name[index.sample.scene[rows]]
    return rows[np.lexsort((index.sample.timestamp[rows], scene))]


def _scene_names(index: Index, split: str) -> set[str]:
    """Names of the scenes of a split that the devkit knows or ``splits.json`` holds."""
    from nuscenes.utils.splits import get_scenes_of_split, is_predefined_split

    # All that the devkit asks of its tables here is where splits.json lies.
    place = SimpleNamespace(dataroot=str(index.root), version=index.version)
    try:
        scenes = set(get_scenes_of_split(split, place))
    except (ValueError, AssertionError) as error:
        raise DataError(
            f"Split {split!r} is neither an official one nor in {_own_splits(index)}; the usual"
            f" ones of {index.version} are {_usual(index.version)}."
        ) from error
    if is_predefined_split(split) and split not in _official_splits(index.version):
        raise DataError(
            f"Split {split!r} does not belong to version {index.version}; its usual splits are"
            f" {_usual(index.version)}."
        )
    return scenes


def _check_reserved(index: Index, split: str) -> None:
    """Refuse a split of ``splits.json`` that has a fold's name: which one is meant is unclear."""
    path = _own_splits(index)
    if path.is_file() and split in json.loads(path.read_text()):
        raise DataError(f"{path} holds a split {split!r}, a name that folds have; rename it there.")


def _own_splits(index: Index) -> Path:
    return index.root / index.version / "splits.json"


def _official_splits(version: str) -> tuple[str, ...]:
    """The official splits that the devkit evaluates on a version (by the version's ending)."""
    if version.endswith("trainval"):
        return ("train", "val", "train_detect", "train_track")
    if version.endswith("mini"):
        return ("mini_train", "mini_val")
    return ("test",) if version.endswith("test") else ()


def _usual(version: str) -> str:
    try:
        return " and ".join(default_splits(version))
    except DataError:
        return "named in its splits.json"

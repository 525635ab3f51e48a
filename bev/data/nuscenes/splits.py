"""Splits of nuScenes: official splits, custom splits of a version, and folds.

Custom splits are defined in the version's ``splits.json``; folds are those of ``bev.data.folds``.
"""

import ast
import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from bev.data.folds import fold_rows, is_fold
from bev.data.nuscenes.index import Index
from bev.errors import DataError
from bev.plain_json import load_json

_SPLITS_OF_VERSION = {
    "v1.0-trainval": ("train", "val"),
    "v1.0-mini": ("mini_train", "mini_val"),
    "v1.0-test": ("test", "test"),
    "v1.0-synthetic": ("synthetic_train", "synthetic_val"),
}
OFFICIAL_VERSIONS = tuple(_SPLITS_OF_VERSION)
SPLITS_FILE = "splits.json"  # in the version's folder


def default_splits(version: str) -> tuple[str, str]:
    """Names of the default (training, validation) splits of a version.

    Raises:
        DataError: if the version is not an official one.
    """
    for known, splits in _SPLITS_OF_VERSION.items():
        if version == known or version.endswith(known.split("-")[1]):
            return splits
    raise DataError(
        f"Version {version} has no default splits; set --data.train-split and --data.val-split."
    )


def split_rows(index: Index, split: str) -> np.ndarray:
    """Rows of a split's samples, ordered by scene name and time.

    Args:
        index: opened data set.
        split: an official split, a split of the version's ``splits.json``, or a split of a fold
            (``bev.data.folds.fold_splits``).

    Raises:
        DataError: if the split is unknown or the data set has no sample of it.
    """
    where = index.root / index.version
    if is_fold(split):
        _check_reserved(index, split)
        rows = fold_rows(index.sample.scene, index.scene.name, split, str(where))
    else:
        names = scenes_of_split(index.root, index.version, split)
        scenes = np.flatnonzero([name.decode() in names for name in index.scene.name])
        rows = np.flatnonzero(np.isin(index.sample.scene, scenes))
    if not len(rows):
        raise DataError(
            f"{where} has no sample of the known split {split!r}; download the tables again if they"
            " are incomplete, or choose another split."
        )
    scene = index.scene.name[index.sample.scene[rows]]
    return rows[np.lexsort((index.sample.timestamp[rows], scene))]


def devkit_file(*parts: str) -> Path:
    """A file of the installed nuscenes-devkit, which takes seconds to import."""
    spec = importlib.util.find_spec("nuscenes")
    if spec is None or spec.origin is None:
        raise DataError("nuscenes-devkit is not installed; install it: pip install nuscenes-devkit")
    return Path(spec.origin).parent.joinpath(*parts)


@lru_cache(maxsize=1)
def official_scenes() -> dict[str, frozenset[str]]:
    """Names of the scenes of each official split, read from the devkit's source."""
    tree = ast.parse(devkit_file("utils", "splits.py").read_text(encoding="utf-8"))
    lists = {
        target.id: frozenset(ast.literal_eval(node.value))
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    lists["train"] = lists["train_detect"] | lists["train_track"]  # not a literal there
    return lists


def scenes_of_split(root: Path, version: str, split: str) -> frozenset[str]:
    """Names of the scenes of an official split or of one of ``splits.json``.

    Raises:
        DataError: if the split is unknown, is one of another version, or ``splits.json`` is
            damaged.
    """
    path, own = root / version / SPLITS_FILE, own_splits(root / version)
    if split in official_scenes():
        if split in official_splits(version):
            return official_scenes()[split]
        rename = f", or rename it in {path}" if split in own else ""
        raise DataError(
            f"Split {split!r} is an official one of another version than {version}; its default"
            f" splits are {_defaults(version)}{rename}."
        )
    if split not in own:
        raise DataError(
            f"Split {split!r} is neither an official split nor in {path}; the default splits of"
            f" {version} are {_defaults(version)}."
        )
    return frozenset(own[split])


def own_splits(folder: Path) -> dict[str, list[str]]:
    """Scene names by split of a version's ``splits.json``; empty if there is no such file.

    Raises:
        DataError: if the file is no mapping from names to lists of scene names.
    """
    path = folder / SPLITS_FILE
    if not path.is_file():
        return {}
    form = "the format is {split: [scene name, ...]}"
    try:
        splits = load_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); {form}.") from error
    if not isinstance(splits, dict):
        raise DataError(f"{path} is a {type(splits).__name__}; {form}.")
    for split, scenes in splits.items():
        if not isinstance(scenes, list) or not all(isinstance(scene, str) for scene in scenes):
            raise DataError(f"{path}: split {split!r} is not a list of scene names; {form}.")
    return splits


def unknown_scenes(index: Index, names: Sequence[str]) -> list[str]:
    """The names of scenes, each once, that ``scene.json`` does not contain."""
    known = {name.decode() for name in index.scene.name}
    return [name for name in dict.fromkeys(names) if name not in known]


def _check_reserved(index: Index, split: str) -> None:
    """Reject a split of ``splits.json`` that has the name of a fold, which is ambiguous."""
    if split in own_splits(index.root / index.version):
        raise DataError(
            f"{index.root / index.version / SPLITS_FILE} contains a split {split!r}, a name"
            " reserved for folds; rename it there."
        )


def official_splits(version: str) -> tuple[str, ...]:
    """Official splits of a version in the devkit's evaluation, by the version's suffix."""
    if version.endswith("trainval"):
        return ("train", "val", "train_detect", "train_track")
    if version.endswith("mini"):
        return ("mini_train", "mini_val")
    return ("test",) if version.endswith("test") else ()


def _defaults(version: str) -> str:
    try:
        return " and ".join(default_splits(version))
    except DataError:
        return "those in its splits.json"

"""Cross-validation folds and fractions of a data set's scenes.

Whole scenes are assigned, never single frames, because neighbouring frames are nearly identical.
The assignment depends only on the names and lengths of the scenes and on a fixed seed, so every
run, and every evaluation of its checkpoints, uses the same one.
"""

import heapq
import re

import numpy as np
from jaxtyping import Int

from bev.errors import ConfigError, DataError

_TRAIN = "_train"


def parse_fold(fold: str) -> tuple[int, int]:
    """Parse the setting ``k/K`` to (k, K).

    Raises:
        ConfigError: if the setting is not of this form.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", fold)
    number, count = (int(part) for part in match.groups()) if match else (0, 0)
    if count < 2 or number >= count:
        raise ConfigError(
            f"data.fold is {fold!r}; give k/K with 0 <= k < K and K at least 2, e.g. 0/5, or leave"
            " it empty for the usual splits."
        )
    return number, count


def fold_splits(fold: str) -> tuple[str, str]:
    """Names of the (training, validation) splits of fold ``k/K``: fold0of5_train, fold0of5."""
    number, count = parse_fold(fold)
    name = f"fold{number}of{count}"
    return name + _TRAIN, name


def is_fold(split: str) -> bool:
    """Return whether a split's name was made by :func:`fold_splits`."""
    return re.fullmatch(rf"fold\d+of\d+({_TRAIN})?", split) is not None


def fold_rows(
    scene: Int[np.ndarray, " n"], names: np.ndarray, split: str, where: str
) -> Int[np.ndarray, " m"]:
    """Rows of the frames of a fold's split.

    Scenes with frames are assigned one by one, longest first and equally long ones in random
    order, each to the fold with the fewest frames so far. The sizes of the folds therefore differ
    by at most the length of the longest scene.

    Args:
        scene: scene of each frame, an index into ``names``.
        names: names of the scenes.
        split: name of the split, see :func:`fold_splits`.
        where: description of the data set, for messages.

    Raises:
        DataError: if there are fewer scenes than folds.
        ConfigError: if the numbers in the split's name are not a valid fold.
    """
    name = split.removesuffix(_TRAIN)
    number, count = parse_fold(name.removeprefix("fold").replace("of", "/"))
    frames = np.bincount(scene, minlength=len(names))
    scenes = np.argsort(names, kind="stable")
    scenes = scenes[frames[scenes] > 0]
    if len(scenes) < count:
        raise DataError(f"{where} has {len(scenes)} scenes, too few for {count} folds.")
    scenes = np.random.default_rng(count).permutation(scenes)
    scenes = scenes[np.argsort(-frames[scenes], kind="stable")]
    fold_of = np.zeros(len(names), int)
    folds = [(0, fold) for fold in range(count)]  # (frames so far, fold)
    for one in scenes:
        held, fold = folds[0]
        fold_of[one] = fold
        heapq.heapreplace(folds, (held + int(frames[one]), fold))
    inside = fold_of[scene] == number
    return np.flatnonzero(~inside if split.endswith(_TRAIN) else inside)


def keep_fraction(
    scene: Int[np.ndarray, " n"], names: np.ndarray, fraction: float, seed: int
) -> Int[np.ndarray, " m"]:
    """Rows of the frames of a random fraction of the scenes (at least one scene), in order.

    With the same seed a smaller fraction is a subset of a larger one.

    Args:
        scene: scene of each frame, an index into ``names``.
        names: names of the scenes.
        fraction: fraction of the scenes that have frames, in (0, 1].
        seed: seed of the choice of scenes, independent of the training seed.
    """
    scenes = np.unique(scene)
    scenes = scenes[np.argsort(names[scenes], kind="stable")]
    shuffled = np.random.default_rng(seed).permutation(scenes)
    return np.flatnonzero(np.isin(scene, shuffled[: max(round(fraction * len(scenes)), 1)]))

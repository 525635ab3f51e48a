"""Parts of a data set that no list of splits names: folds, and fractions, of its scenes.

The idea: what is dealt out are scenes, never single frames, since neighbouring frames are nearly
alike. Who goes where follows from the scenes' names and lengths and a fixed seed: every run, and
every evaluation of its checkpoints, finds the same.
"""

import heapq
import re

import numpy as np
from jaxtyping import Int

from bev.errors import ConfigError, DataError

_TRAIN = "_train"


def parse_fold(fold: str) -> tuple[int, int]:
    """(k, K) of the setting ``k/K``.

    Raises:
        ConfigError: where it is none.
    """
    found = re.fullmatch(r"(\d+)/(\d+)", fold)
    number, count = (int(part) for part in found.groups()) if found else (0, 0)
    if count < 2 or number >= count:
        raise ConfigError(
            f"data.fold is {fold!r}; give k/K with 0 <= k < K and K at least 2, e.g. 0/5, or leave"
            " it empty for the usual splits."
        )
    return number, count


def fold_splits(fold: str) -> tuple[str, str]:
    """(training, validation) split names of fold ``k/K``, e.g. fold0of5_train and fold0of5."""
    number, count = parse_fold(fold)
    name = f"fold{number}of{count}"
    return name + _TRAIN, name


def is_fold(split: str) -> bool:
    """Whether a split's name is one that :func:`fold_splits` gives."""
    return re.fullmatch(rf"fold\d+of\d+({_TRAIN})?", split) is not None


def fold_rows(
    scene: Int[np.ndarray, " n"], names: np.ndarray, split: str, where: str
) -> Int[np.ndarray, " m"]:
    """The frames of a split that :func:`fold_splits` names.

    All scenes with frames are dealt out: longest first, equal ones in random order, each to the
    fold with the fewest frames. So folds differ by no more frames than the longest scene has.

    Args:
        scene: of each frame, a place in ``names``.
        names: of the scenes.
        split: the fold's.
        where: what is dealt out, for messages.

    Raises:
        DataError: where there are fewer scenes than folds.
        ConfigError: where the name's numbers make no fold.
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
    """The frames of a fraction of the scenes, at least one, in their order.

    With the same seed a smaller fraction lies inside a greater one.

    Args:
        scene: of each frame, a place in ``names``.
        names: of the scenes.
        fraction: of the scenes that have frames, above 0 to 1.
        seed: which scenes; of its own, so that it can stay while the training's varies.
    """
    scenes = np.unique(scene)
    scenes = scenes[np.argsort(names[scenes], kind="stable")]
    shuffled = np.random.default_rng(seed).permutation(scenes)
    return np.flatnonzero(np.isin(scene, shuffled[: max(round(fraction * len(scenes)), 1)]))

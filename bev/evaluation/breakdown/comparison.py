"""Differences between evaluations of the same samples, with intervals of a paired bootstrap."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bev.evaluation.bootstrap import Score, interval, replicate
from bev.evaluation.detection.matches import Matches
from bev.evaluation.detection.metrics import ERROR_NAMES

AP = "AP "
"""Beginning of the names of the classes' average precisions."""


@dataclass(frozen=True)
class Drawn:
    """Figures of an evaluation, on the data set itself and on bootstrap draws of its samples.

    Attributes:
        tokens: tokens of the S samples.
        names: names of the M figures.
        values: (M,) figures.
        draws: (R, M) figures of the draws.
    """

    tokens: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray
    draws: np.ndarray


@dataclass(frozen=True)
class Change:
    """Difference of a figure to that of another evaluation, and its 95 % interval."""

    value: float
    low: float
    high: float


def box_figures(matches: Matches) -> tuple[tuple[str, ...], Score]:
    """Names and function of the figures of matched boxes: means, and AP of each class.

    The function maps (S,) counts, how often each sample is drawn, to the figures.
    """
    errors = {name: paper for name, paper in ERROR_NAMES.items() if name in matches.errors}
    classes = [kind.name for kind in matches.kinds]
    names = (*matches.names, *(f"m{paper}" for paper in errors.values()))

    def score(weights: np.ndarray) -> list[float]:
        metrics = matches.metrics(weights)
        means = {"mAP": metrics.mean_ap, "NDS": metrics.nd_score}
        aps = metrics.mean_dist_aps
        return [
            *(means[name] for name in matches.names),
            *(metrics.errors[name] for name in errors),
            *(aps[name] for name in classes),
        ]

    return (*names, *(AP + name for name in classes)), score


def drawn(
    tokens: tuple[str, ...],
    parts: Sequence[tuple[tuple[str, ...], Callable[[np.ndarray], Sequence[float]]]],
    weights: np.ndarray,
) -> Drawn:
    """Score an evaluation on its samples and on draws of them.

    Args:
        tokens: tokens of the S samples.
        parts: names and functions of figures, see :func:`box_figures`.
        weights: (R, S) counts, see ``bev.evaluation.bootstrap.draws``.
    """

    def score(counts: np.ndarray) -> list[float]:
        return [value for _, one in parts for value in one(counts)]

    names = tuple(name for part, _ in parts for name in part)
    once = np.ones(len(tokens), int)
    return Drawn(tokens, names, np.array(score(once)), replicate([score], weights))


def changes(first: Drawn, other: Drawn) -> dict[str, Change]:
    """Differences of the figures of ``other`` to those of ``first``, by name.

    Both are scored on the same draws. Figures that one of them lacks, or that are not defined, are
    left out; there is none if the samples differ.
    """
    found: dict[str, Change] = {}
    if first.tokens != other.tokens:
        return found
    for name in first.names:
        if name not in other.names:
            continue
        places = first.names.index(name), other.names.index(name)
        value = float(other.values[places[1]] - first.values[places[0]])
        spread = other.draws[:, places[1]] - first.draws[:, places[0]]
        if np.isfinite(value) and np.isfinite(spread).all():
            found[name] = Change(value, *interval(spread))
    return found

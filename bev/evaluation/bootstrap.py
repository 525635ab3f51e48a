"""Is a difference more than luck? A paired bootstrap over the evaluated samples.

The idea (Efron, 1979): draw as many samples as there are, with replacement, and score both results
on the same draw; the middle 95 % of the differences over many draws is the interval. Easy and hard
samples fall alike on both, so what they have in common cancels. The interval speaks of the choice
of samples; the spread over seeds stands beside it in the table. Neighbouring frames of a scene are
alike: drawing whole scenes gives the wider, more careful interval.
"""

from collections.abc import Callable, Sequence

import numpy as np

Score = Callable[[np.ndarray], Sequence[float]]

REPLICATES = 1000


def draws(groups: np.ndarray, replicates: int, seed: int = 0) -> np.ndarray:
    """How often each sample is drawn, in each replicate.

    Args:
        groups: (S,) the group (0, 1, ...) of each sample, which is drawn as a whole; all different
            to draw single samples.
        replicates: R.
        seed: the same gives the same draws.

    Returns:
        (R, S) counts.
    """
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    return rng.multinomial(count, np.full(count, 1 / count), size=replicates)[:, groups]


def replicate(scores: Sequence[Score], weights: np.ndarray) -> np.ndarray:
    """Scores on every draw, averaged over the runs of a variant.

    Args:
        scores: one a run (seed), from the weights of samples to M figures.
        weights: (R, S), see :func:`draws`.

    Returns:
        (R, M).
    """
    return np.mean([[score(row) for row in weights] for score in scores], axis=0)


def interval(differences: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """The ends of the middle part of some numbers (percentile interval)."""
    low, high = np.quantile(differences, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)

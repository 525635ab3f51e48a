"""Paired bootstrap over the evaluated samples: confidence intervals of differences.

Following Efron (1979), as many samples as there are in the split are drawn with replacement, and
both results are scored on the same draw. The middle 95 % of the differences over many draws is the
confidence interval. Easy and hard samples affect both results alike, so their common variation
cancels. The interval covers the choice of samples only; the spread over seeds is listed separately
in the table. Neighbouring frames of a scene are similar: drawing whole scenes gives the wider, more
conservative interval.
"""

from collections.abc import Callable, Sequence

import numpy as np

Score = Callable[[np.ndarray], Sequence[float]]

REPLICATES = 1000


def draws(groups: np.ndarray, replicates: int, seed: int = 0) -> np.ndarray:
    """Draw samples with replacement: how often each sample occurs in each replicate.

    Args:
        groups: (S,) group index (0, 1, ...) of each sample; a group is drawn as a whole. Pass
            distinct indices to draw single samples.
        replicates: number of replicates R.
        seed: random seed; equal seeds give equal draws.

    Returns:
        (R, S) counts.
    """
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    return rng.multinomial(count, np.full(count, 1 / count), size=replicates)[:, groups]


def replicate(scores: Sequence[Score], weights: np.ndarray) -> np.ndarray:
    """Score every draw and average the figures over the runs of a variant.

    Args:
        scores: one function per run (seed), from the weights of samples to M figures.
        weights: (R, S) counts, see :func:`draws`.

    Returns:
        (R, M) figures.
    """
    return np.mean([[score(row) for row in weights] for score in scores], axis=0)


def interval(differences: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Percentile interval: the ends of the middle part of the values."""
    low, high = np.quantile(differences, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)

"""The paired bootstrap: its draws, and the coverage of its intervals."""

from types import SimpleNamespace

import numpy as np
import pytest
from nuscenes.eval.detection.algo import calc_ap

from bev.evaluation.bootstrap import draws, interval, replicate
from bev.evaluation.detection.matches import ClassMatches, resample


def toy(rng: np.random.Generator, samples: int) -> tuple[ClassMatches, ClassMatches]:
    """Matches of two detectors on the same easy and hard samples; the second is a bit better."""
    ease = rng.uniform(0.1, 0.8, samples)
    found = []
    for bonus in (0.0, 0.1):
        hits = rng.random((samples, 4)) < (ease + bonus)[:, None]
        sample, _ = np.nonzero(hits)
        false = np.repeat(np.arange(samples), rng.poisson(2, samples))
        score = np.concatenate([rng.normal(1, 1, len(sample)), rng.normal(0, 1, len(false))])
        order = np.argsort(-score)
        found.append(
            ClassMatches(
                np.arange(len(score)),
                np.concatenate([sample, false])[order],
                score[order],
                np.where(np.arange(len(score)) < len(sample), 0, -1)[None, order],
                {},
                np.full(samples, 4),
            )
        )
    return tuple(found)


def average_precision(found: ClassMatches, weights: np.ndarray) -> float:
    precision = resample(found, weights).precision[0]
    return calc_ap(SimpleNamespace(precision=precision), 0.1, 0.1)


def score(found: ClassMatches):
    return lambda weights: (average_precision(found, weights),)


@pytest.mark.parametrize("trials", [50, pytest.param(120, marks=pytest.mark.slow)])
def test_the_interval_covers_the_true_difference(trials):
    """About 95 of 100 intervals do, and their width matches the spread of the differences."""
    rng = np.random.default_rng(0)
    large, samples = 20_000, 60
    once = np.ones(large, dtype=int)
    first, second = (average_precision(found, once) for found in toy(rng, large))
    covered, widths, estimates, unpaired = 0, [], [], []
    for trial in range(trials):
        pair = toy(rng, samples)
        weights = draws(np.arange(samples), 200, seed=trial)
        base, other = (replicate([score(found)], weights)[:, 0] for found in pair)
        low, high = interval(other - base)
        covered += low <= second - first <= high
        widths.append(high - low)
        unpaired.append(np.subtract(*interval(rng.permutation(other) - base)[::-1]))
        once = np.ones(samples, dtype=int)
        estimates.append(average_precision(pair[1], once) - average_precision(pair[0], once))
    assert 0.88 <= covered / trials <= 0.99
    assert np.mean(widths) == pytest.approx(2 * 1.96 * np.std(estimates), rel=0.25)
    assert np.mean(widths) < 0.95 * np.mean(unpaired)


def test_a_result_does_not_differ_from_itself():
    found, _ = toy(np.random.default_rng(1), 30)
    weights = draws(np.arange(30), 20)
    same = replicate([score(found)], weights) - replicate([score(found), score(found)], weights)
    assert interval(same) == (0, 0)


def test_draws_are_counts_of_a_data_set_of_the_same_size():
    weights = draws(np.arange(50), 400, seed=3)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.mean() == 1 and weights.var() == pytest.approx(1 - 1 / 50, rel=0.1)
    assert (weights == draws(np.arange(50), 400, seed=3)).all()


def test_scenes_are_drawn_as_a_whole():
    groups = np.array([0, 0, 1, 2, 2, 2])
    weights = draws(groups, 100)
    for scene in range(3):
        assert (np.ptp(weights[:, groups == scene], axis=1) == 0).all()
    assert (weights[:, [0, 2, 3]].sum(axis=1) == 3).all()

"""Differences of evaluations and their intervals."""

from dataclasses import replace

import numpy as np
import pytest
from made_boxes import crowded

from bev.evaluation.bootstrap import draws
from bev.evaluation.breakdown.comparison import AP, box_figures, changes, drawn


def drawn_of(seed: int, replicates: int = 30):
    matches = crowded(seed).matches
    weights = draws(np.arange(len(matches.tokens)), replicates)
    return matches, drawn(matches.tokens, [box_figures(matches)], weights)


def test_figures_are_those_of_the_metric():
    matches, found = drawn_of(1)
    metrics = matches.metrics(np.ones(len(matches.tokens), int))
    values = dict(zip(found.names, found.values.tolist(), strict=True))
    assert values["mAP"] == metrics.mean_ap and values["mATE"] == metrics.errors["trans_err"]
    aps = {name.removeprefix(AP): v for name, v in values.items() if name.startswith(AP)}
    assert aps == metrics.mean_dist_aps
    weights = draws(np.arange(len(matches.tokens)), 30)
    first = matches.metrics(weights[0])
    assert found.draws[0, found.names.index("mAP")] == first.mean_ap


def test_an_evaluation_does_not_differ_from_itself():
    _, found = drawn_of(1)
    for change in changes(found, found).values():
        assert (change.value, change.low, change.high) == (0, 0, 0)


def test_a_constant_gain_has_no_width_and_others_hold_their_mean():
    _, found = drawn_of(2)
    better = replace(found, values=found.values + 0.25, draws=found.draws + 0.25)
    change = changes(found, better)["mAP"]
    assert [change.value, change.low, change.high] == pytest.approx([0.25] * 3)
    assert changes(better, found)["mAP"].value == pytest.approx(-0.25)


def test_other_samples_are_not_compared():
    _, found = drawn_of(1)
    other = replace(found, tokens=("other", *found.tokens[1:]))
    assert changes(found, other) == {}

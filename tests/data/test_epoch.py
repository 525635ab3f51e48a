"""The order of samples depends on seed and epoch; ranks divide an epoch among them."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bev.data.epoch import EpochPlan, EpochSampler


def once(length):
    return EpochPlan.of(np.ones(length))


def visits(sampler):
    return [index for _, index, _ in sampler]


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 3))
def test_ranks_cover_the_epoch_in_equal_lengths(length, ranks, epoch):
    parts = []
    for rank in range(ranks):
        sampler = EpochSampler(once(length), seed=1, rank=rank, ranks=ranks)
        sampler.set_epoch(epoch)
        parts.append(visits(sampler))
        assert len(parts[-1]) == len(sampler)
    assert len({len(part) for part in parts}) == 1
    assert {i for part in parts for i in part} == set(range(length))
    assert sum(map(len, parts)) < length + ranks


def test_each_epoch_has_its_own_repeatable_order():
    sampler = EpochSampler(once(50), seed=3)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2]
    assert [i for _, i, _ in orders[0]] != [i for _, i, _ in orders[1]]
    assert {epoch for epoch, _, _ in orders[1]} == {1}


@given(st.lists(st.floats(0, 5), min_size=1, max_size=30), st.integers(0, 9))
def test_visits_are_the_expected_ones_rounded_up_or_down(raw, seed):
    raw = np.array([*raw, 0.0])
    raw[-1] = math.ceil(raw.sum()) - raw.sum()  # the sum is a whole number
    plan = EpochPlan.of(raw)
    assert len(plan) == round(raw.sum())
    counts = np.bincount(plan.order(seed, 0), minlength=len(raw))
    assert counts.sum() == len(plan)
    # Expected visits are stored in units of 2^-20, at most two units off.
    assert (counts >= np.floor(raw - 2e-6)).all() and (counts <= np.ceil(raw + 2e-6)).all()


def test_whole_expected_visits_are_exact_and_fractions_hold_on_average():
    plan = EpochPlan.of(np.array([2.0, 0.0, 0.25, 0.75, 1.0]))
    counts = np.array([np.bincount(plan.order(0, epoch), minlength=5) for epoch in range(400)])
    assert (counts[:, [0, 1, 4]] == [2, 0, 1]).all()
    assert (counts.sum(axis=1) == 4).all()
    np.testing.assert_allclose(counts[:, 2:4].mean(axis=0), [0.25, 0.75], atol=0.08)


@given(
    st.integers(1, 30), st.integers(1, 3), st.integers(1, 4), st.integers(0, 8), st.booleans(),
)  # fmt: skip
def test_a_resumed_epoch_is_the_rest_of_the_epoch(length, ranks, batch, batches, by_scene):
    """The next epoch is complete again; the length stays that of a complete epoch."""
    expected = np.ones(length) if by_scene else np.full(length, 2.0)
    plan = EpochPlan.of(expected, np.arange(length) // 4 if by_scene else None)
    for rank in range(ranks):
        unbroken = EpochSampler(plan, 5, batch, rank, ranks)
        resumed = EpochSampler(plan, 5, batch, rank, ranks, start=(2, batches))
        assert len(resumed) == len(unbroken)
        for epoch, skipped in ((2, batches * batch), (3, 0)):
            unbroken.set_epoch(epoch)
            resumed.set_epoch(epoch)
            assert list(resumed) == list(unbroken)[skipped:]
    # The loader may prefetch before the trainer sets the epoch.
    early = EpochSampler(plan, 5, batch, 0, ranks, start=(2, batches))
    assert all(visit.epoch == 2 for visit in early)


def test_visits_of_a_frame_in_an_epoch_are_distinct():
    plan = EpochPlan.of(np.array([3.0, 1.0, 1.0]))
    samplers = [EpochSampler(plan, 0, rank=rank, ranks=3) for rank in range(3)]
    found = [visit for sampler in samplers for visit in sampler]  # five visits, padded to six
    assert len(set(found)) == len(found) == 6
    assert {copy for _, index, copy in found if index == 0} >= {0, 1, 2}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=6), st.integers(1, 3), st.integers(1, 3))
def test_scenes_stay_together_and_in_time_order(lengths, ranks, batch):
    scene = np.repeat(np.arange(len(lengths)), lengths)
    plan = EpochPlan.of(np.ones(len(scene)), scene)
    order = plan.order(seed=2, epoch=1)
    assert sorted(order) == list(range(len(scene)))
    # A scene ends only where its last frame is reached, and begins with its first.
    last = np.r_[scene[1:] != scene[:-1], True]
    assert all(b == a + 1 or last[a] for a, b in zip(order[:-1], order[1:], strict=True))
    # Each position in each rank's batch follows the order from its own starting point.
    pieces = []
    for rank in range(ranks):
        sampler = EpochSampler(plan, 2, batch, rank, ranks)
        sampler.set_epoch(1)
        found = visits(sampler)
        assert len(found) == len(sampler) and len(found) % batch == 0
        pieces += [found[place::batch] for place in range(batch)]
    whole = [index for piece in pieces for index in piece]
    assert whole == np.resize(order, len(whole)).tolist()
    assert len(whole) < len(scene) + ranks * batch

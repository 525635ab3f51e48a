"""Orders and augmentation are functions of seed and epoch; ranks share an epoch between them."""

from hypothesis import given
from hypothesis import strategies as st

from bev.data.sampling import EpochSampler


def indices(sampler):
    return [index for _, index in sampler]


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 3))
def test_ranks_cover_the_epoch_in_step(length, ranks, epoch):
    parts = []
    for rank in range(ranks):
        sampler = EpochSampler(length, seed=1, rank=rank, ranks=ranks)
        sampler.set_epoch(epoch)
        parts.append(indices(sampler))
        assert len(parts[-1]) == len(sampler)
    assert len({len(part) for part in parts}) == 1
    assert {i for part in parts for i in part} == set(range(length))
    assert sum(map(len, parts)) < length + ranks


@given(st.integers(1, 40), st.integers(1, 5))
def test_evaluation_visits_nothing_twice(length, ranks):
    samplers = [EpochSampler(length, 0, False, False, rank, ranks) for rank in range(ranks)]
    visited = [i for sampler in samplers for i in indices(sampler)]
    assert sorted(visited) == list(range(length))
    assert [len(sampler) for sampler in samplers] == [len(indices(s)) for s in samplers]


def test_each_epoch_has_its_own_order_and_repeats_it():
    sampler = EpochSampler(50, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2]
    assert [i for _, i in orders[0]] != [i for _, i in orders[1]]
    assert {epoch for epoch, _ in orders[1]} == {1}

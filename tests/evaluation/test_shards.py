"""Division of a split among processes."""

import math

from hypothesis import given
from hypothesis import strategies as st

from bev.evaluation.shards import shard


def parts(samples, batch_size, ranks):
    return [list(shard(samples, batch_size, rank, ranks)) for rank in range(ranks)]


def test_processes_take_whole_batches_in_order():
    assert parts(10, 4, 2) == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]
    assert parts(10, 4, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_fewer_batches_than_processes_are_divided():
    assert parts(6, 4, 4) == [[0], [1, 2], [3], [4, 5]]
    assert parts(2, 4, 3) == [[0], [0], [1]]  # a process without a sample would not validate


@given(st.integers(1, 300), st.integers(1, 16), st.integers(1, 20))
def test_every_sample_is_predicted_as_in_one_process(samples, batch_size, ranks):
    divided = parts(samples, batch_size, ranks)
    merged = dict.fromkeys(sample for part in divided for sample in part)
    assert list(merged) == list(range(samples)) and all(divided)
    if math.ceil(samples / batch_size) >= ranks:
        assert sum(map(len, divided)) == samples
        assert all(part[0] % batch_size == 0 for part in divided)

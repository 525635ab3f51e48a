"""Division of a split among processes, so that they predict it exactly as one process does."""

import math


def shard(samples: int, batch_size: int, rank: int, ranks: int) -> range:
    """Indices of the samples of one process: consecutive, whole batches where there are enough.

    Every sample belongs to a process, and in the order of the ranks their samples are in order.
    Where each process has a batch, its batches are those of a single process, so predictions do not
    depend on the number of processes even in the last bit, and adjacent frames stay together. With
    fewer batches than processes, samples are divided; with fewer samples, some are shared, since a
    process without any would not take part in gathering.

    Args:
        samples: number of samples in the split.
        batch_size: samples per batch.
        rank, ranks: rank of this process and number of processes.
    """
    unit = batch_size if math.ceil(samples / batch_size) >= ranks else 1
    units = math.ceil(samples / unit)
    first, end = units * rank // ranks, units * (rank + 1) // ranks
    return range(first * unit, min(max(end, first + 1) * unit, samples))

"""In which order the key frames of an epoch are visited, on every rank."""

import math
from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler


class EpochSampler(Sampler):
    """Yields (epoch, index), so that the data set can augment each epoch anew.

    The order is a function of (seed, epoch) alone. With several ranks each takes every
    ``ranks``-th entry. In training the order is filled up (from its start) to a whole number of
    rounds, so that ranks stay in step; in evaluation nothing is visited twice.

    Args:
        length: number of key frames.
        seed: of the order.
        shuffle: visit in random order.
        training: fill up the last round.
        rank, ranks: this process among all.
    """

    def __init__(
        self,
        length: int,
        seed: int = 0,
        shuffle: bool = True,
        training: bool = True,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.length, self.seed, self.shuffle, self.training = length, seed, shuffle, training
        self.rank, self.ranks, self.epoch = rank, ranks, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        if self.training:
            return math.ceil(self.length / self.ranks)
        return len(range(self.rank, self.length, self.ranks))

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.arange(self.length)
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        if self.training:
            order = np.resize(order, len(self) * self.ranks)
        return iter([(self.epoch, int(index)) for index in order[self.rank :: self.ranks]])

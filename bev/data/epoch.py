"""In which order the key frames of an epoch are visited, on every rank, from any place in it.

The idea: an epoch's visits are a function of (seed, epoch) and nothing else, so that ranks agree
without a word and a resumed run goes on where it stopped. How often a frame is visited is kept as
a whole number of small units: sums are exact, and the same on every machine.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from torch.utils.data import Sampler

_UNIT = 1 << 20  # units in a visit


class Visit(NamedTuple):
    """One visit of a key frame; what its augmentation depends on, beside the seed.

    Attributes:
        epoch: of the run.
        index: of the key frame.
        copy: how often this epoch has visited the frame before.
    """

    epoch: int
    index: int
    copy: int = 0


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """How often an epoch visits each key frame, and whether scenes stay together.

    Attributes:
        units: (n,) expected visits of each frame, in units of 2^-20 visits; they add up to whole
            visits.
        scene: (n,) the scene of each frame where scenes stay together (frames of a scene stand in
            the order of time); else empty.

    Its length is the number of visits in an epoch, the same for all epochs.
    """

    units: Int[np.ndarray, " n"]
    scene: Int[np.ndarray, " s"]

    @classmethod
    def of(cls, expected: np.ndarray, scene: np.ndarray | None = None) -> "EpochPlan":
        """From the expected visits of each frame, as floating point numbers.

        Args:
            expected: (n,) 0 or more; they add up to whole visits, but for rounding.
            scene: (n,) scenes to keep together; every frame is to be visited once then.
        """
        exact = np.asarray(expected, float) * _UNIT
        units = np.rint(exact).astype(np.int64)
        # Where rounding took away or added most, it is made good, a unit each.
        lacking = round(float(np.sum(expected))) * _UNIT - int(units.sum())
        sign = np.sign(lacking)
        units[np.argsort(sign * (units - exact), kind="stable")[: abs(lacking)]] += sign
        return cls(units, np.zeros(0, np.int64) if scene is None else np.asarray(scene, np.int64))

    def __len__(self) -> int:
        return int(self.units.sum()) // _UNIT

    def order(self, seed: int, epoch: int) -> Int[np.ndarray, " visits"]:
        """The frames of an epoch in the order of visits.

        A frame whose expected visits are v occurs floor(v) or ceil(v) times: along a line where
        the frames, shuffled, take their v each, one visit falls on every whole number behind a
        random start (systematic sampling, Madow 1949).
        """
        rng = np.random.default_rng([seed, epoch])
        if len(self.scene):
            scenes, number = np.unique(self.scene, return_inverse=True)
            return np.argsort(rng.permutation(len(scenes))[number], kind="stable")
        shuffled = rng.permutation(len(self.units))
        line = np.cumsum(self.units[shuffled]) + rng.integers(_UNIT)
        visits = np.diff(line // _UNIT, prepend=0)
        return rng.permutation(np.repeat(shuffled, visits))


class EpochSampler(Sampler[Visit]):
    """Yields a rank's visits, so that the data set can augment each of them on its own.

    All ranks visit equally many frames: the order is filled up from its start. With several ranks
    each takes every ``ranks``-th visit. Where scenes stay together, the order is cut into as many
    even pieces as there are places in the batches of all ranks, and each place follows its piece.

    Args:
        plan: of the epochs.
        seed: of the order.
        batch_size: visits in a rank's batch.
        rank, ranks: this process among all.
        start: (epoch, batches): where a resumed run goes on. Of that epoch, so many batches are
            left out; ``len`` counts them still, as the trainer does.
    """

    def __init__(
        self,
        plan: EpochPlan,
        seed: int = 0,
        batch_size: int = 1,
        rank: int = 0,
        ranks: int = 1,
        start: tuple[int, int] = (0, 0),
    ) -> None:
        self.plan, self.seed, self.batch_size = plan, seed, batch_size
        self.rank, self.ranks, self.start, self.epoch = rank, ranks, start, start[0]

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        if len(self.plan.scene):
            return math.ceil(len(self.plan) / (self.ranks * self.batch_size)) * self.batch_size
        return math.ceil(len(self.plan) / self.ranks)

    def __iter__(self) -> Iterator[Visit]:
        order = np.resize(self.plan.order(self.seed, self.epoch), len(self) * self.ranks)
        pairs = np.stack([order, _occurrence(order)], axis=1)
        if len(self.plan.scene):
            places = pairs.reshape(self.ranks, self.batch_size, -1, 2)
            mine = places[self.rank].swapaxes(0, 1).reshape(-1, 2)
        else:
            mine = pairs[self.rank :: self.ranks]
        epoch, batches = self.start
        skipped = batches * self.batch_size if self.epoch == epoch else 0
        return iter([Visit(self.epoch, index, copy) for index, copy in mine[skipped:].tolist()])


def _occurrence(values: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """How often each value has stood before in the array."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    run = np.arange(len(values)) - np.repeat(first, np.diff(first, append=len(values)))
    occurrence = np.empty_like(run)
    occurrence[order] = run
    return occurrence

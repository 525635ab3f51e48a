"""Order of the key frames in an epoch, for distributed training and for resumed runs.

The visits of an epoch depend only on (seed, epoch), so ranks need no communication and a resumed
run continues where it stopped. Expected numbers of visits are stored as integers in small units, so
sums are exact and the same on every machine.
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
    """One visit of a key frame; together with the seed it determines the augmentation.

    Attributes:
        epoch: epoch of the run.
        frame: index of the key frame.
        copy: number of earlier visits of this frame in the epoch.
    """

    epoch: int
    frame: int
    copy: int = 0


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """Expected number of visits of each key frame in an epoch, and the grouping by scene.

    The length of a plan is the number of visits in an epoch, which is the same for all epochs.

    Attributes:
        units: (n,) expected visits of each frame, in units of 2^-20 visits; their sum is a whole
            number of visits.
        scene: (n,) scene of each frame, if scenes stay together (the frames of a scene are then in
            order of time); otherwise empty.
    """

    units: Int[np.ndarray, " n"]
    scene: Int[np.ndarray, " s"]

    @classmethod
    def of(cls, expected: np.ndarray, scene: np.ndarray | None = None) -> "EpochPlan":
        """Create a plan from the expected visits of each frame as floating-point numbers.

        Args:
            expected: (n,) expected visits, at least 0; their sum is an integer up to rounding.
            scene: (n,) scene of each frame, to keep scenes together; every frame must then have
                one expected visit.
        """
        exact = np.asarray(expected, float) * _UNIT
        units = np.rint(exact).astype(np.int64)
        # Correct the sum by one unit each in the frames with the largest rounding errors.
        lacking = round(float(np.sum(expected))) * _UNIT - int(units.sum())
        sign = np.sign(lacking)
        units[np.argsort(sign * (units - exact), kind="stable")[: abs(lacking)]] += sign
        return cls(units, np.zeros(0, np.int64) if scene is None else np.asarray(scene, np.int64))

    def __len__(self) -> int:
        return int(self.units.sum()) // _UNIT

    def order(self, seed: int, epoch: int) -> Int[np.ndarray, " visits"]:
        """Frame indices of an epoch in the order of visits.

        A frame with v expected visits occurs floor(v) or ceil(v) times: the shuffled frames are
        laid out along a line as intervals of length v, and one visit is placed at every integer
        distance from a random start (systematic sampling, Madow 1949).
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
    """Sampler of the visits of one rank; the dataset augments each visit individually.

    All ranks make the same number of visits: the order is padded by repeating its beginning. Each
    rank takes every ``ranks``-th visit. If scenes stay together, the order is instead divided into
    equal parts, one for each position in the batches of all ranks, and each position follows its
    part.

    Args:
        plan: plan of the epochs.
        seed: seed of the order.
        batch_size: visits per batch and rank.
        rank, ranks: rank of this process and number of processes.
        start: (epoch, batches) at which a resumed run continues. The first ``batches`` batches of
            that epoch are skipped; ``len`` still counts them, as the trainer does.
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
        """Set the epoch; the trainer calls this before each epoch."""
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
    """Number of earlier occurrences of each value in the array."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    run = np.arange(len(values)) - np.repeat(first, np.diff(first, append=len(values)))
    occurrence = np.empty_like(run)
    occurrence[order] = run
    return occurrence

"""Averaged weights (EMA), which are what is validated, tested and exported."""

import math

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

TIME_CONSTANT = 2000


def ema_decay(updates: int, limit: float, start: int) -> float:
    """Decay after ``updates`` updates: limit * (1 - exp(-(start + updates) / 2000)).

    As in BEVDet's code. It starts low, so that the random start is forgotten, and tends to
    ``limit``; a ``start`` above 0 skips the first part.
    """
    return limit * (1 - math.exp(-(start + updates + 1) / TIME_CONSTANT))


class AveragedWeights(WeightAveraging):
    """Lightning's weight averaging with the decay of :func:`ema_decay`.

    Batch norm statistics are averaged as the weights are.
    """

    def __init__(self, limit: float, start: int) -> None:
        def average(averaged: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
            decay = ema_decay(int(updates), limit, start)  # read once: on a GPU it is a wait
            for mean, value in zip(averaged, current, strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - decay)
                else:
                    mean.copy_(value)

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        # The module moves to its device only after this: the average is to live there too.
        self._device = trainer.strategy.root_device
        super().setup(trainer, module, stage)

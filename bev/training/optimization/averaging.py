"""Averaged weights (EMA), which are validated, tested and exported."""

import math

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from bev.training.limits import total_steps
from bev.training.settings import TrainConfig

TIME_CONSTANT = 2000
LATEST_START = 4  # lengths of the run


def ema_decay(updates: int, limit: float, start: int) -> float:
    """Decay after ``updates`` updates: limit * (1 - exp(-(start + updates + 1) / 2000)).

    As in the code of BEVDet. The decay starts low, so that the random initialisation is forgotten,
    and approaches ``limit``; a ``start`` above 0 skips the first part.
    """
    return limit * (1 - math.exp(-(start + updates + 1) / TIME_CONSTANT))


def bounded_start(start: int, steps: int) -> int:
    """Bound the ``start`` of :func:`ema_decay` to four times the length of the run.

    With a later start, the average of a short run consists of weights from its first steps, and
    fits nothing: after 98 steps and a start of 8000, the very first ones still have a share of
    16 %. The published start, 10560, is the length of the published run.
    """
    return min(start, LATEST_START * steps)


class AveragedWeights(WeightAveraging):
    """Weight averaging of Lightning with the decay of :func:`ema_decay`.

    Batch norm statistics are averaged like the weights. The start of the decay is bounded by the
    length of the run, or by the steps so far if ``train.max_minutes`` leaves the length open.

    Args:
        config: training settings.
        device: device of the averaged weights; the module moves to its device only after this
            callback is set up.
    """

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        super().__init__(device, multi_avg_fn=self._average)
        self.config, self.start = config, config.ema_start

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        start, steps = self.config.ema_start, total_steps(trainer, self.config.max_steps)
        self.start = bounded_start(start, steps)
        if not trainer.is_global_zero:
            return
        if self.config.max_minutes and start:
            print(
                "The weights are averaged as if train.ema_start were at most"
                f" {LATEST_START} times the steps so far, because train.max_minutes leaves the"
                " length of the run open.",
                flush=True,
            )
        elif self.start < start:
            print(
                f"The weights are averaged with train.ema_start {self.start} instead of {start},"
                f" because the run has only {steps} steps.",
                flush=True,
            )

    def _average(
        self, averaged: list[Tensor], current: list[Tensor], updates: Tensor | int
    ) -> None:
        """Update averaged tensors by the current ones, in place; integer tensors are copied."""
        number = int(updates)  # read once: it synchronises the GPU
        start = bounded_start(self.start, number + 1) if self.config.max_minutes else self.start
        decay = ema_decay(number, self.config.ema, start)
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)

"""Averaged weights (EMA), which are what is validated, tested and exported."""

import math
from functools import partial

import torch
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

    Args:
        limit: greatest decay.
        start: see :func:`ema_decay`.
        device: holds the average; the module moves to its device only after this is set up.
    """

    def __init__(self, limit: float, start: int, device: torch.device) -> None:
        super().__init__(device, multi_avg_fn=partial(average, limit=limit, start=start))


def average(
    averaged: list[Tensor], current: list[Tensor], updates: Tensor | int, limit: float, start: int
) -> None:
    """Update averaged tensors by the current ones, in place; integers are copied."""
    decay = ema_decay(int(updates), limit, start)  # read once: on a GPU it is a wait
    for mean, value in zip(averaged, current, strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)

"""Averaged weights (EMA), which are validated, tested and exported."""

import math
from functools import partial

import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

TIME_CONSTANT = 2000


def ema_decay(updates: int, limit: float, start: int) -> float:
    """Decay after ``updates`` updates: limit * (1 - exp(-(start + updates + 1) / 2000)).

    As in the code of BEVDet. The decay starts low, so that the random initialisation is forgotten,
    and approaches ``limit``; a ``start`` above 0 skips the first part.
    """
    return limit * (1 - math.exp(-(start + updates + 1) / TIME_CONSTANT))


class AveragedWeights(WeightAveraging):
    """Weight averaging of Lightning with the decay of :func:`ema_decay`.

    Batch norm statistics are averaged like the weights.

    Args:
        limit: maximum decay.
        start: see :func:`ema_decay`.
        device: device of the averaged weights; the module moves to its device only after this
            callback is set up.
    """

    def __init__(self, limit: float, start: int, device: torch.device) -> None:
        super().__init__(device, multi_avg_fn=partial(average, limit=limit, start=start))


def average(
    averaged: list[Tensor], current: list[Tensor], updates: Tensor | int, limit: float, start: int
) -> None:
    """Update averaged tensors by the current ones, in place; integer tensors are copied."""
    decay = ema_decay(int(updates), limit, start)  # read once: it synchronises the GPU
    for mean, value in zip(averaged, current, strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)

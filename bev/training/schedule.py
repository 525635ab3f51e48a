"""The learning rate over the run: a schedule of torch, told how long the run is, times a warm-up.

A schedule of torch counts optimiser steps and knows neither the run nor the batch. Here:

- a length that is not given (``T_max``, ``total_steps``) is that of the run, and one that is a
  float is a fraction of it: ``partial(MultiStepLR, milestones=(0.8, 0.95))``;
- a rate that is given (``max_lr``, ``base_lr``, ``eta_min``) is scaled with the batch as
  ``train.lr`` is, and a peak that is not given (``max_lr``) is the optimiser's rate.

Every parameter group keeps its own rate: a group that starts at a tenth of ``train.lr`` has a tenth
of the rate at all times (``eta_min``, which torch shares between groups, excepted).
"""

import inspect
import math
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from bev.errors import CheckpointError, ConfigError
from bev.training.optimizer import batch_scale
from bev.training.settings import ScheduleCall, TrainConfig

_RUN = {"T_max", "total_steps"}
_LENGTHS = _RUN.union("total_iters milestones step_size step_size_up step_size_down T_0".split())
_PEAKS = {"max_lr", "base_lr"}  # of every group


class WarmUp(LRScheduler):
    """A schedule whose rates are multiplied by max(step / steps, 1/1000) for its first steps.

    The schedule goes on from its own rates, not from what the factor makes of them: some of torch's
    compute each rate from the one before.

    Args:
        schedule: already built.
        steps: of the warm-up.
        length: of the run in steps, where the schedule depends on it; else 0.

    Raises:
        CheckpointError: on loading the state of a schedule of another length.
    """

    def __init__(self, schedule: LRScheduler, steps: int, length: int = 0) -> None:
        self.schedule, self.steps, self.length = schedule, steps, length
        self.rates: list[float] = []
        super().__init__(schedule.optimizer)

    def get_lr(self) -> list[float]:
        """The rates of the groups; called once a step."""
        groups = self.optimizer.param_groups
        if self.last_epoch > 0:
            for group, rate in zip(groups, self.rates, strict=True):
                group["lr"] = rate
            self.schedule.step()
        self.rates = [group["lr"] for group in groups]
        done = self.last_epoch >= self.steps
        factor = 1.0 if done else max(self.last_epoch / self.steps, 1e-3)
        return [rate * factor for rate in self.rates]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = {**state_dict}
        if own["length"] != self.length:
            raise CheckpointError(
                f"The schedule {type(self.schedule).__name__} was made for a run of"
                f" {own['length']} steps, and this one has {self.length}; resume with the epochs,"
                " steps and batches that it began with."
            )
        self.schedule.load_state_dict(own.pop("schedule"))
        super().load_state_dict(own)


def build_schedule(
    optimizer: torch.optim.Optimizer, config: TrainConfig, global_batch: int, total_steps: int
) -> WarmUp:
    """The config's schedule for an optimiser, with its warm-up.

    Raises:
        ConfigError: where the schedule waits for a metric, or refuses its arguments.
    """
    call = config.schedule
    if any(issubclass(part.target, ReduceLROnPlateau) for part in call.walk()):
        raise ConfigError(
            "train.schedule = ReduceLROnPlateau waits for a metric, and schedules are stepped after"
            " every optimiser step; take one that counts steps."
        )
    scale = batch_scale(config, global_batch)
    rates = tuple(group["lr"] for group in optimizer.param_groups)
    relative = tuple(rate / config.lr if config.lr else scale for rate in rates)

    def fill(target: type, given: dict[str, Any]) -> dict[str, Any]:
        filled = _with_lengths(target, given, total_steps)
        for name in _PEAKS & set(filled):
            peak = filled[name]  # of each group, or of one that has train.lr
            parts = [scale] * len(peak) if isinstance(peak, tuple) else relative
            peaks = peak if isinstance(peak, tuple) else [peak] * len(relative)
            filled[name] = tuple(p * part for p, part in zip(peaks, parts, strict=True))
        if "eta_min" in filled:
            filled["eta_min"] *= scale
        if "max_lr" in inspect.signature(target).parameters:
            filled.setdefault("max_lr", rates)
        return filled

    length = total_steps if follows_run(call) else 0
    return WarmUp(call.build(optimizer, fill=fill), config.warmup_steps, length)


def follows_run(schedule: ScheduleCall) -> bool:
    """Whether the schedule depends on how long the run is."""
    return any(
        _with_lengths(part.target, part.kwargs, 10**6)
        != _with_lengths(part.target, part.kwargs, 2 * 10**6)
        for part in schedule.walk()
    )


def _with_lengths(target: type, given: dict[str, Any], total: int) -> dict[str, Any]:
    filled = {n: _steps(v, total) if n in _LENGTHS else v for n, v in given.items()}
    for name in _RUN & set(inspect.signature(target).parameters):
        if not {"epochs", "steps_per_epoch"} & set(given):  # OneCycleLR's other way to say it
            filled.setdefault(name, total)
    return filled


def _steps(value: Any, total: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_steps(item, total) for item in value)
    return max(1, math.floor(value * total + 0.5)) if isinstance(value, float) else value

"""The learning rate over the run: a schedule of torch, times a warm-up, times each part's factor.

A schedule of torch counts optimiser steps and knows neither the run nor the batch. Here:

- a length that is not given (``T_max``, ``total_steps``) is that of the run, and one that is a
  float is a fraction of it: ``partial(MultiStepLR, milestones=(0.8, 0.95))``;
- a rate that is given (``max_lr``, ``base_lr``, ``eta_min``) is scaled with the batch as
  ``train.lr`` is, and a peak that is not given (``max_lr``) is the optimiser's rate.

The schedule says one rate for all; what the stage of the run says of a group's parts multiplies it,
``eta_min`` and all.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from bev.errors import CheckpointError, ConfigError
from bev.training.optimization.optimizer import batch_scale
from bev.training.optimization.stages import Stages, stage_at
from bev.training.settings import TrainConfig

_RUN = {"T_max", "total_steps"}
_LENGTHS = _RUN.union("total_iters milestones step_size step_size_up step_size_down T_0".split())
_RATES = {"max_lr", "base_lr", "eta_min"}


class RunSchedule(LRScheduler):
    """A schedule whose rates are multiplied by a warm-up and by a factor of each group.

    The warm-up is max(step / steps, 1/1000) for the first steps. The schedule goes on from its own
    rates, not from what the factors make of them: some of torch's compute each rate from the one
    before.

    Args:
        schedule: already built.
        steps: of the warm-up.
        factors: from a step to a factor for each group.
        length: of the run in steps, where schedule or factors depend on it; else 0.

    Raises:
        CheckpointError: on loading the state of a schedule of another length.
    """

    def __init__(
        self,
        schedule: LRScheduler,
        steps: int,
        factors: Callable[[int], Sequence[float]],
        length: int = 0,
    ) -> None:
        self.schedule, self.steps, self.length = schedule, steps, length
        self.factors = factors
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
        warm = 1.0 if done else max(self.last_epoch / self.steps, 1e-3)
        factors = self.factors(self.last_epoch)
        return [rate * warm * factor for rate, factor in zip(self.rates, factors, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        own = {name: value for name, value in super().state_dict().items() if name != "factors"}
        return {**own, "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        own = {**state_dict}
        if own["length"] != self.length:
            raise CheckpointError(
                f"The schedule {type(self.schedule).__name__}, or a stage that starts at a fraction"
                f" of the run, was made for a run of {own['length']} steps, and this one has"
                f" {self.length}; resume with the epochs, steps and batches that it began with."
            )
        self.schedule.load_state_dict(own.pop("schedule"))
        super().load_state_dict(own)


def build_schedule(
    optimizer: torch.optim.Optimizer,
    stages: Stages,
    config: TrainConfig,
    global_batch: int,
    total_steps: int,
) -> RunSchedule:
    """The config's schedule for an optimiser, with its warm-up and the factors of the stages.

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
    rate = optimizer.param_groups[0]["lr"]

    def fill(target: type, given: dict[str, Any]) -> dict[str, Any]:
        filled = _with_lengths(target, given, total_steps)
        for name in _RATES & set(filled):
            if isinstance(filled[name], tuple):
                raise ConfigError(
                    f"train.schedule gives {name} for each of several groups; give one, and name"
                    " in train.stages the parts that have another rate."
                )
            filled[name] *= scale
        if "max_lr" in inspect.signature(target).parameters:
            filled.setdefault("max_lr", rate)
        return filled

    length = total_steps if follows_run(config) else 0
    starts = stages.starts(total_steps)
    schedule = call.build(optimizer, fill=fill)
    return RunSchedule(
        schedule, config.warmup_steps, lambda step: stages.factors(stage_at(starts, step)), length
    )


def follows_run(config: TrainConfig) -> bool:
    """Whether the rates depend on how long the run is."""
    return any(stage.is_fraction for stage in config.stages) or any(
        _with_lengths(part.target, part.kwargs, 10**6)
        != _with_lengths(part.target, part.kwargs, 2 * 10**6)
        for part in config.schedule.walk()
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

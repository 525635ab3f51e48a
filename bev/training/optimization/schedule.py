"""Learning rate over the run: a torch schedule, times a warm-up, times a factor of each part.

A torch schedule counts optimiser steps and depends neither on the length of the run nor on the
batch size. Here:

- a length that is not set (``T_max``, ``total_steps``) is that of the run, and a length that is a
  float is a fraction of it: ``partial(MultiStepLR, milestones=(0.8, 0.95))``;
- a rate that is set (``max_lr``, ``base_lr``, ``eta_min``) is scaled with the batch like
  ``train.lr``, and a peak rate that is not set (``max_lr``) is the rate of the optimiser.

The schedule defines one rate for all parameters; the factors of the current stage multiply it for
each parameter group, including ``eta_min``.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from bev.errors import CheckpointError, ConfigError
from bev.training.optimization.optimizer import batch_scale
from bev.training.optimization.stages import Stages, stage_at
from bev.training.settings import ScheduleCall, TrainConfig

_RUN = {"T_max", "total_steps"}
_LENGTHS = _RUN.union("total_iters milestones step_size step_size_up step_size_down T_0".split())
_RATES = {"max_lr", "base_lr", "eta_min"}


class RunSchedule(LRScheduler):
    """Schedule whose rates are multiplied by a warm-up and by a factor of each group.

    The warm-up is max(step / steps, 1/1000) for the first steps. The schedule continues from its
    own rates, not from the multiplied ones: some torch schedules compute each rate from the
    previous one.

    Args:
        schedule: the torch schedule.
        steps: number of steps of the warm-up.
        factors: function from a step to a factor for each group.
        length: length of the run in steps if the schedule or the factors depend on it, otherwise 0.

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

    def get_lr(self) -> list[float | Tensor]:
        """Compute the rates of the groups; called once per step."""
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
        state = {name: value for name, value in super().state_dict().items() if name != "factors"}
        return {**state, "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = {**state_dict}
        if state["length"] != self.length:
            raise CheckpointError(
                f"The schedule {type(self.schedule).__name__}, or a stage that starts at a fraction"
                f" of the run, was made for a run of {state['length']} steps, and this one has"
                f" {self.length}; resume with the original epochs, steps and batch size."
            )
        self.schedule.load_state_dict(state.pop("schedule"))
        super().load_state_dict(state)


def build_schedule(
    optimizer: torch.optim.Optimizer,
    stages: Stages,
    config: TrainConfig,
    global_batch: int,
    total_steps: int,
) -> RunSchedule:
    """Build the schedule of an optimiser, with its warm-up and the factors of the stages.

    Args:
        optimizer: optimiser of :func:`~bev.training.optimization.optimizer.build_optimizer`.
        stages: stages of the run.
        config: training settings.
        global_batch: samples per optimiser step, over all processes.
        total_steps: length of the run in optimiser steps.

    Raises:
        ConfigError: if the schedule needs a metric, or rejects its arguments.
    """
    call = ScheduleCall.of(config.schedule, "train.schedule")
    if any(issubclass(part.target, ReduceLROnPlateau) for part in call.walk()):
        raise ConfigError(
            "train.schedule = ReduceLROnPlateau waits for a metric, but schedules are stepped after"
            " every optimiser step; use a schedule that counts steps."
        )
    scale = batch_scale(config, global_batch)
    rate = optimizer.param_groups[0]["lr"]

    def fill(target: type, given: dict[str, Any]) -> dict[str, Any]:
        filled = _with_lengths(target, given, total_steps)
        for name in _RATES & set(filled):
            if isinstance(filled[name], tuple):
                raise ConfigError(
                    f"train.schedule sets {name} for each of several groups; set one value, and"
                    " name in train.stages the parts with other rates."
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
    """Return whether the rates depend on the length of the run."""
    return any(stage.is_fraction for stage in config.stages) or any(
        _with_lengths(part.target, part.kwargs, 10**6)
        != _with_lengths(part.target, part.kwargs, 2 * 10**6)
        for part in ScheduleCall.of(config.schedule, "train.schedule").walk()
    )


def _with_lengths(target: type, given: dict[str, Any], total: int) -> dict[str, Any]:
    filled = {n: _steps(v, total) if n in _LENGTHS else v for n, v in given.items()}
    for name in _RUN & set(inspect.signature(target).parameters):
        if not {"epochs", "steps_per_epoch"} & set(given):  # alternative arguments of OneCycleLR
            filled.setdefault(name, total)
    return filled


def _steps(value: Any, total: int) -> Any:
    if isinstance(value, tuple):
        return tuple(_steps(item, total) for item in value)
    return max(1, math.floor(value * total + 0.5)) if isinstance(value, float) else value

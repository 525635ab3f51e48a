"""Optimiser of all parameters that train in any stage; its rate is scaled to the global batch."""

import inspect

import torch

from bev.errors import ConfigError
from bev.training.optimization.stages import Stages
from bev.training.settings import OptimizerCall, TrainConfig


def batch_scale(config: TrainConfig, global_batch: int) -> float:
    """Factor on the config's learning rate for this global batch."""
    return global_batch / config.lr_batch if config.lr_batch else 1.0


def build_optimizer(
    stages: Stages, config: TrainConfig, global_batch: int
) -> torch.optim.Optimizer:
    """Build the optimiser; parameters with equal rates in all stages share a parameter group.

    All groups have the learning rate of the run; the schedule multiplies it by the factors of the
    stage.

    Args:
        stages: stages of the run.
        config: training settings.
        global_batch: samples per optimiser step, over all processes.

    Raises:
        ConfigError: if ``train.optimizer`` sets ``lr`` or ``weight_decay`` itself, has no weight
            decay although one is set, rejects its arguments, or cannot clip gradients in float16.
    """
    call = OptimizerCall.of(config.optimizer, "train.optimizer")
    duplicates = sorted({"lr", "weight_decay"} & set(call.kwargs))
    if duplicates:
        raise ConfigError(
            f"train.optimizer = {call} sets {duplicates[0]} itself; set train.{duplicates[0]}"
            " instead, so that it is set in one place."
        )
    arguments = {"lr": config.lr * batch_scale(config, global_batch)}
    accepted = inspect.signature(call.target).parameters.values()
    if any(p.name == "weight_decay" or p.kind is p.VAR_KEYWORD for p in accepted):
        arguments["weight_decay"] = config.weight_decay
    elif config.weight_decay:
        raise ConfigError(
            f"train.optimizer = {call} has no weight decay; set --train.weight-decay 0."
        )
    optimizer = call.build(stages.groups(), fill=lambda target, given: {**given, **arguments})
    if config.max_grad_norm and config.precision == "16" and unscales(optimizer):
        raise ConfigError(
            f"train.optimizer = {call} unscales float16 gradients itself, after they are clipped;"
            " set --train.max-grad-norm 0, --train.precision bf16, or fused=False."
        )
    return optimizer


def unscales(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether the optimiser unscales gradients itself, as fused optimisers do."""
    return any(group.get("fused") for group in optimizer.param_groups)

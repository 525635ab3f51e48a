"""The optimiser over the parameters that train at any time, its rate scaled to the global batch."""

import inspect

import torch

from bev.errors import ConfigError
from bev.training.optimization.stages import Stages
from bev.training.settings import TrainConfig


def batch_scale(config: TrainConfig, global_batch: int) -> float:
    """Factor of the config's learning rate for this global batch."""
    return global_batch / config.lr_batch if config.lr_batch else 1.0


def build_optimizer(
    stages: Stages, config: TrainConfig, global_batch: int
) -> torch.optim.Optimizer:
    """The config's optimiser, with a group for the parameters that share their rate in all stages.

    All groups have the run's rate; the schedule multiplies it by what the stage says.

    Raises:
        ConfigError: where the optimiser is given ``lr`` or ``weight_decay`` itself, takes no weight
            decay though there is one, refuses its arguments, or cannot clip in float16.
    """
    call = config.optimizer
    given = sorted({"lr", "weight_decay"} & set(call.kwargs))
    if given:
        raise ConfigError(
            f"train.optimizer = {call} gives {given[0]} itself; set train.{given[0]} instead, so"
            " that it has one place."
        )
    own = {"lr": config.lr * batch_scale(config, global_batch)}
    accepted = inspect.signature(call.target).parameters.values()
    if any(p.name == "weight_decay" or p.kind is p.VAR_KEYWORD for p in accepted):
        own["weight_decay"] = config.weight_decay
    elif config.weight_decay:
        raise ConfigError(
            f"train.optimizer = {call} knows no weight decay; set --train.weight-decay 0."
        )
    optimizer = call.build(stages.groups(), fill=lambda target, given: {**given, **own})
    if config.max_grad_norm and config.precision == "16" and unscales(optimizer):
        raise ConfigError(
            f"train.optimizer = {call} takes the scale of float16 losses from the gradients itself,"
            " after they are clipped; set --train.max-grad-norm 0, --train.precision bf16, or fused=False."
        )
    return optimizer


def unscales(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimiser divides gradients by the scale of the loss itself: fused ones do."""
    return any(group.get("fused") for group in optimizer.param_groups)

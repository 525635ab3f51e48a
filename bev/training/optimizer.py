"""AdamW, and the learning rate over the run."""

import math
from collections.abc import Callable

import torch
from torch import nn

from bev.training.settings import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig, global_batch: int) -> torch.optim.AdamW:
    """AdamW over the parameters that train, its rate scaled to the global batch."""
    scale = global_batch / config.lr_batch if config.lr_batch else 1.0
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW(parameters, lr=config.lr * scale, weight_decay=config.weight_decay)


def rate_factor(config: TrainConfig, total_steps: int) -> Callable[[int], float]:
    """The rate as a factor, by optimiser step."""

    def factor(step: int) -> float:
        warm = min(1.0, max(step / max(config.warmup_steps, 1), 1e-3))
        progress = min(step / max(total_steps, 1), 1.0)
        if config.schedule == "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * progress))
        if config.schedule == "step":
            return warm * 0.1 ** sum(progress >= milestone for milestone in config.milestones)
        return warm

    return factor

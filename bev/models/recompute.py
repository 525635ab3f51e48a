"""Gradient checkpointing: activations are computed again in the backward pass, not kept.

After Chen et al., Training Deep Nets with Sublinear Memory Cost (2016). Torch runs a module twice
then, and batch norm would count each batch twice in its running statistics; here the second time
leaves them alone, so a step changes the same state as without.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from bev.models.layers import BATCH_NORMS


def recompute(modules: Iterable[nn.Module]) -> None:
    """From here on, keep only the inputs of each of these modules until its backward pass.

    In training only, and where gradients are asked for. Names of parameters stay as they are.
    """
    for module in modules:
        module.forward = partial(_forward, module)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """The parts to be recomputed one by one: what sequences of parts are made of, but for layers.

    Of a ResNet these are its residual blocks.
    """
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from blocks(child)
        elif any(True for _ in child.children()):
            yield child


def _forward(module: nn.Module, *inputs: Any, **named: Any) -> Any:
    own = partial(type(module).forward, module)
    if not (module.training and torch.is_grad_enabled()):
        return own(*inputs, **named)
    contexts = partial(_contexts, module)
    return checkpoint(own, *inputs, use_reentrant=False, context_fn=contexts, **named)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Of the first and of the second run."""
    return nullcontext(), _statistics_left_alone(module)


@contextmanager
def _statistics_left_alone(module: nn.Module) -> Iterator[None]:
    """Batch norms weigh their batch with nothing in their running statistics, and do not count it.

    They must keep for the backward pass what they kept the first time: switching
    ``track_running_stats`` off would not.
    """
    norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count

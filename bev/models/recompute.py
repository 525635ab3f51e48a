"""Gradient checkpointing: activations are recomputed in the backward pass instead of stored.

After Chen et al., Training Deep Nets with Sublinear Memory Cost (2016). PyTorch then runs the
forward pass of a module twice, and batch norms would update their running statistics twice per
batch. Here the second run does not update them, so a training step has the same effect on the
state as without checkpointing.
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
    """Enable gradient checkpointing for each of the modules, in place.

    It applies only in training mode with gradients enabled. Parameter names do not change.
    """
    for module in modules:
        module.forward = partial(_forward, module)


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Blocks to recompute one by one: the composite elements of (nested) sequential containers.

    For a ResNet these are the residual blocks.
    """
    for child in module.children():
        if isinstance(child, nn.Sequential | nn.ModuleList):
            yield from blocks(child)
        elif any(True for _ in child.children()):
            yield child


def _forward(module: nn.Module, *inputs: Any, **named: Any) -> Any:
    forward = partial(type(module).forward, module)
    if not (module.training and torch.is_grad_enabled()):
        return forward(*inputs, **named)
    contexts = partial(_contexts, module)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts, **named)


def _contexts(module: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
    """Contexts of the first and of the second forward run."""
    return nullcontext(), _frozen_statistics(module)


@contextmanager
def _frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Keep batch norms from updating their running statistics: momentum 0, and no batch count.

    Switching ``track_running_stats`` off is not an option, as batch norms would then save other
    tensors for the backward pass than in the first run.
    """
    norms = [m for m in module.modules() if isinstance(m, BATCH_NORMS) and m.track_running_stats]
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked = norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, momentum, count in before:
            norm.momentum, norm.num_batches_tracked = momentum, count

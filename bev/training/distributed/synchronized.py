"""Batch norms over the samples of all processes.

Statistics of a process's own batch make a run on n processes another experiment than one process
with n times the batch. Synchronised norms remove the difference. On a GPU they are torch's
``SyncBatchNorm``, which refuses the CPU; there, stock operators compute the same.
"""

from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from bev.models.layers import BATCH_NORMS


class SynchronizedOnGpu(nn.SyncBatchNorm):
    """Torch's synchronised batch norm, with the activation that timm's norms include."""

    def forward(self, input: Tensor) -> Tensor:
        return _activated(self, super().forward(input))


class SynchronizedOnCpu(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of the samples of all processes.

    In stock operators, for inputs of any number of dimensions, whose number may differ between
    processes. It is no ``nn.SyncBatchNorm``, which DDP refuses on a CPU.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and torch.distributed.is_initialized():
            return _activated(self, self._normalized(input))
        return _activated(self, super().forward(input))

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept inputs of any number of dimensions."""

    def _normalized(self, input: Tensor) -> Tensor:
        """Normalise by the mean and variance over all processes, and update the running ones."""
        x = input.float() if input.dtype in (torch.bfloat16, torch.float16) else input
        kept = [d for d in range(x.ndim) if d != 1]
        shape = [-1 if d == 1 else 1 for d in range(x.ndim)]
        ones = x.new_full((1,), x.numel() / x.shape[1])
        sums = _Sum.apply(torch.cat([x.sum(kept), ones]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(kept)) / count
        with torch.no_grad():
            self._update(mean, variance * count / (count - 1).clamp(min=1))
        output = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            output = output * self.weight.view(shape) + self.bias.view(shape)
        return output.to(input.dtype)

    def _update(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = self.momentum
        if momentum is None:
            momentum = 1.0 / float(self.num_batches_tracked or 1)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)


def synchronize(model: nn.Module, device: str) -> None:
    """Make all batch norms of a model synchronised, in place; tensors keep their names.

    Args:
        model: a model, before it is distributed.
        device: type of the device that it is trained on.
    """
    for module in model.modules():
        if isinstance(module, BATCH_NORMS):
            if device == "cpu":
                module.__class__ = SynchronizedOnCpu
            else:
                module.__class__ = SynchronizedOnGpu
                module.process_group = None


class _Sum(torch.autograd.Function):
    """Sum over processes; the gradient of the sum of all losses is the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        torch.distributed.all_reduce(total)
        return total


def _activated(norm: nn.Module, output: Tensor) -> Tensor:
    for name in ("drop", "act"):  # of timm's BatchNormAct2d
        if hasattr(norm, name):
            output = getattr(norm, name)(output)
    return output

"""Convolutions of a detector that Winograd's algorithm computes, for inference on CPUs."""

from typing import Any

import torch
from torch import Tensor, nn

from bev.models.convolutions import replace_convolutions
from bev.ops.winograd import tiles_of, transformed_kernel, winograd_conv

_LEAST_CHANNELS = 128  # of inputs and outputs; with fewer, the transforms cost what is gained
_LEAST_PAIRS = 200**2  # pairs of an input and an output channel
_LEAST_TILES = 72  # rows of the matrix products


class WinogradConv2d(nn.Conv2d):
    """3x3 convolution that computes float32 inputs on a CPU by Winograd's algorithm.

    Other inputs, and those of few tiles, are computed as by ``nn.Conv2d``. The transformed kernel
    of a weight without gradient is kept; it takes four times the memory of the weight.
    """

    _kept: tuple[Tensor, int, Tensor] | None = None  # weight, its version, transformed kernel

    def forward(self, x: Tensor) -> Tensor:
        suits = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32
        suits = suits and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
        if not suits or tiles_of(x.shape) < _LEAST_TILES:
            return super().forward(x)
        if self.weight.requires_grad or torch.compiler.is_compiling():
            return winograd_conv(x, self.weight, self.bias)
        weight, kept = self.weight, self._kept  # another thread may replace it
        version = 0 if weight.is_inference() else weight._version  # the former have none
        if kept is None or kept[0] is not weight or kept[1] != version:
            kept = self._kept = weight, version, transformed_kernel(weight)
        return winograd_conv(x, weight, self.bias, kept[2])

    def train(self, mode: bool = True) -> "WinogradConv2d":
        self._kept = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_kept"}


def use_winograd(module: nn.Module) -> int:
    """Let Winograd's algorithm compute the suitable convolutions of a module, in place.

    Returns the number of these convolutions: 3x3 with stride 1 and a padding of 1, and many
    channels. Names of parameters do not change.
    """
    return replace_convolutions(module, WinogradConv2d, _LEAST_CHANNELS, _LEAST_PAIRS)

"""Convolutions of a detector whose gradient is faster on some CPUs, for training."""

import torch
from torch import Tensor, nn

from bev.machine import default_device
from bev.models.convolutions import replace_convolutions
from bev.ops.kernel_gradient import conv3x3

_LEAST_CHANNELS = 48  # of inputs and outputs; with fewer, oneDNN is as fast


class TrainedConv2d(nn.Conv2d):
    """3x3 convolution with :func:`bev.ops.kernel_gradient.conv3x3`, for float32 on a CPU.

    Other inputs, and all in compiled code, are computed as by ``nn.Conv2d``.
    """

    def forward(self, x: Tensor) -> Tensor:
        suits = x.device.type == "cpu" and x.dtype == self.weight.dtype == torch.float32
        suits = suits and not torch.is_autocast_enabled("cpu")
        if not suits or torch.compiler.is_compiling():
            return super().forward(x)
        return conv3x3(x, self.weight, self.bias)


def use_kernel_gradients(module: nn.Module) -> int:
    """Let the wide 3x3 convolutions of a module compute their gradients by matrix products.

    In place, if the default device is a CPU with AVX2 and nothing wider, where this is faster;
    elsewhere nothing changes. Returns the number of these convolutions.
    """
    if default_device().type != "cpu" or torch.backends.cpu.get_cpu_capability() != "AVX2":
        return 0
    return replace_convolutions(module, TrainedConv2d, _LEAST_CHANNELS)

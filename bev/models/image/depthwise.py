"""Depthwise convolutions in float32 on CPUs under autocast, for a faster backward pass.

On a CPU, the gradient of a depthwise convolution with a stride, or with a kernel larger than 3x3,
takes four times as long in bf16 as in float32, and bf16 hardware does not help, as depthwise
convolutions are not matrix products. In float32, one forward and backward pass of
``tf_efficientnet_lite0`` (six images of 128x352, one core with AMX) takes 0.63 of the time.
"""

from functools import partial

import torch
from torch import Tensor, nn


def depthwise_in_float32(module: nn.Module) -> None:
    """Run all depthwise convolutions of a module in float32, in place; names do not change."""
    for layer in module.modules():
        if _is_depthwise(layer):
            layer.forward = partial(_forward, layer)


def _is_depthwise(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def _forward(layer: nn.Module, x: Tensor) -> Tensor:
    forward = type(layer).forward
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return forward(layer, x)
    with torch.autocast("cpu", enabled=False):
        return forward(layer, x.float()).to(torch.get_autocast_dtype("cpu"))

"""Depthwise convolutions of a CPU under autocast: in float32, for their gradient's sake.

In bf16 the gradient of a depthwise convolution with a stride, or with a kernel larger than 3x3,
takes a CPU four times as long as in float32, and no hardware multiplies them faster: they are no
matrix products. One forward and backward pass of ``tf_efficientnet_lite0`` (six images of 128x352,
one core with AMX) takes 0.63 of the time so.
"""

from functools import partial

import torch
from torch import Tensor, nn


def depthwise_in_float32(module: nn.Module) -> None:
    """Let all depthwise convolutions in a module compute so; names and weights stay."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.groups == part.in_channels > 1:
            part.forward = partial(_forward, part)


def _forward(part: nn.Conv2d, x: Tensor) -> Tensor:
    forward = type(part).forward
    if x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return forward(part, x)
    with torch.autocast("cpu", enabled=False):
        return forward(part, x.float()).to(torch.get_autocast_dtype("cpu"))

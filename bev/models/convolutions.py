"""Replacement of the 3x3 convolutions of a module by ones that compute the same another way."""

from typing import TypeVar

import torch
from torch import nn

_Kind = TypeVar("_Kind", bound=nn.Conv2d)


def replace_convolutions(
    module: nn.Module, kind: type[_Kind], channels: int, pairs: int = 0
) -> int:
    """Replace the plain 3x3 convolutions of a module in place; returns their number.

    Plain ones have stride 1, a padding of 1 by zeros, one group, and neither hooks nor a
    parametrised weight. Names of parameters do not change.

    Args:
        module: module with convolutions.
        kind: their new class.
        channels: least number of input and of output channels.
        pairs: least number of pairs of both.
    """
    count = 0
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if not (isinstance(child, nn.Conv2d) and _is_plain(child)):
                continue
            inputs, outputs = child.in_channels, child.out_channels
            if min(inputs, outputs) >= channels and inputs * outputs >= pairs:
                setattr(parent, name, _converted(child, kind))
                count += 1
    return count


def _is_plain(module: nn.Conv2d) -> bool:
    if type(module) is not nn.Conv2d or "weight" not in module._parameters:
        return False
    if module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module):
        return False
    square = module.kernel_size == (3, 3) and module.padding == (1, 1)
    plain = module.stride == module.dilation == (1, 1) and module.groups == 1
    return square and plain and module.padding_mode == "zeros"


def _converted(plain: nn.Conv2d, kind: type[_Kind]) -> _Kind:
    with torch.device("meta"):
        made = kind(
            plain.in_channels, plain.out_channels, 3, padding=1, bias=plain.bias is not None
        )
    made.weight, made.bias = plain.weight, plain.bias
    return made.train(plain.training)

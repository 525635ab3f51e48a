"""Folding of batch norms into the convolutions before them, for inference.

A batch norm that applies its running statistics is one multiplication and one addition per channel,
which the convolution before it can compute with other weights and a bias (Jacob et al. 2018,
Quantization and Training of Neural Networks, section 3.2). The pairs are read from the traced graph
of a module (``torch.fx``), so no layout of a network is assumed.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from bev.models.layers import BATCH_NORMS

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def fold_batch_norms(module: nn.Module) -> int:
    """Fold batch norms into convolutions, in place; returns the number of folded batch norms.

    Outputs in evaluation mode are those of before up to rounding. Folded batch norms are replaced
    by the identity (by the activation, for those that contain one), and their convolutions have a
    bias. A batch norm stays where the output of the convolution has another use, where one of the
    two runs at several places, or where the module around them cannot be traced.

    Raises:
        ValueError: in training mode, in which batch norms apply the statistics of the batch.
    """
    if module.training:
        raise ValueError("Batch norms can be folded in evaluation mode only; call eval() first.")
    modules = dict(module.named_modules(remove_duplicate=False))
    uses = Counter(map(id, modules.values()))
    shared = Counter(id(value) for one in _unique(modules) for value in one.parameters(False))
    folded = 0
    for convolution, norm in list(_pairs(module)):
        alone = uses[id(convolution)] == uses[id(norm)] == 1 == shared[id(convolution.weight)]
        if alone and _foldable(convolution, norm):
            _fold(convolution, norm)
            _replace(modules, norm, _remainder(norm))
            folded += 1
    return folded


def _unique(modules: dict[str, nn.Module]) -> list[nn.Module]:
    return list({id(one): one for one in modules.values()}.values())


class _Tracer(fx.Tracer):
    """Tracer whose leaves are convolutions and batch norms, of any class."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        leaves = (*_CONVOLUTIONS, *_TRANSPOSED, *BATCH_NORMS)
        return isinstance(m, leaves) or super().is_leaf_module(m, module_qualified_name)


def _pairs(module: nn.Module) -> Iterator[tuple[Any, Any]]:
    """Convolutions whose only use is a batch norm, and this batch norm.

    A module that cannot be traced as a whole is searched child by child.
    """
    if isinstance(module, _CONVOLUTIONS + _TRANSPOSED + BATCH_NORMS):
        return
    try:
        graph = _Tracer().trace(module)
    except Exception:  # tracing runs the module's code on stand-ins, which may raise anything
        for child in module.children():
            yield from _pairs(child)
        return
    called = Counter(node.target for node in graph.nodes if node.op == "call_module")
    read = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    for node in graph.nodes:
        if node.op != "call_module" or len(node.args) != 1 or node.kwargs:
            continue
        before = node.args[0]
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) != 1:
            continue
        targets = (str(before.target), str(node.target))
        convolution, norm = (module.get_submodule(target) for target in targets)
        once = all(called[target] == 1 for target in targets)
        untouched = not any(name.startswith(f"{target}.") for name in read for target in targets)
        if isinstance(norm, BATCH_NORMS) and once and untouched:
            yield convolution, norm


def _foldable(convolution: Any, norm: Any) -> bool:
    """Return whether both are what their classes define, and the batch norm has statistics."""
    transposed = isinstance(convolution, _TRANSPOSED)
    if not (isinstance(convolution, _CONVOLUTIONS) or transposed):
        return False
    if transposed and convolution.groups != 1:
        return False
    plain = not any(
        hooked
        for one in (convolution, norm)
        for hooked in (one._forward_hooks, one._forward_pre_hooks)
    )
    own = convolution._parameters.get("weight") is not None  # else it is parametrised
    return plain and own and norm.running_mean is not None and norm.running_var is not None


@torch.no_grad()
def _fold(convolution: Any, norm: Any) -> None:
    """Set weight and bias of the convolution to those of both; computed in float64."""

    def double(value: Any) -> Any:
        return None if value is None else value.cpu().double()  # Apple's GPU has no float64

    weight, bias = fuse_conv_bn_weights(
        double(convolution.weight), double(convolution.bias), double(norm.running_mean),
        double(norm.running_var), norm.eps, double(norm.weight), double(norm.bias),
        transpose=isinstance(convolution, _TRANSPOSED),
    )  # fmt: skip
    before = convolution.weight
    before.copy_(weight.to(before.dtype))
    shift = bias.to(before.dtype).to(before.device)
    convolution.bias = nn.Parameter(shift, requires_grad=False)


def _remainder(norm: Any) -> nn.Module:
    """Module that takes the place of a folded batch norm.

    timm's batch norms with an activation apply ``drop`` and ``act`` after the norm.
    """
    after = [child for _, child in norm.named_children()]
    return nn.Sequential(*after).train(False) if after else nn.Identity().train(False)


def _replace(modules: dict[str, nn.Module], old: nn.Module, new: nn.Module) -> None:
    name = next(name for name, one in modules.items() if one is old)
    parent, _, own = name.rpartition(".")
    setattr(modules[parent], own, new)

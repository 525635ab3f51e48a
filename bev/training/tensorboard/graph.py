"""Graph of a network's layers: which layer's output reaches which.

One forward pass is followed. Layers (modules without modules in them) are the nodes. Every tensor
carries the names of the nodes that it comes from through all operators between layers, so that the
graph needs neither tracing nor exporting, and is right for data-dependent code. A module whose
output is the result of its own operators (the pooling of a view transform, a concatenation) is a
node too, named by its class.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import torch
from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.versions_pb2 import VersionDef
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle
from torch.utils.weak import WeakTensorKeyDictionary

from bev.data.batch import Batch


@dataclass
class Node:
    """Node of the graph.

    Attributes:
        kind: class of the module; "input" for an input.
        inputs: names of the nodes whose outputs it takes, in the order of their first use.
        shapes: shapes of its outputs in its first call.
        parameters: number of its parameters, without those of nodes within it.
    """

    kind: str
    inputs: dict[str, None] = field(default_factory=dict)
    shapes: Sequence[Sequence[int]] = ()
    parameters: int = 0


@torch.no_grad()
def layer_graph(model: nn.Module, batch: Batch) -> dict[str, Node]:
    """Follow a forward pass of a model in evaluation mode; nothing of the model changes.

    Args:
        model: a detector.
        batch: input, on the device of the model.

    Returns:
        Nodes by name; the names of modules have slashes instead of dots.
    """
    training = {module: module.training for module in model.modules()}
    follower = _Follower()
    handles: list[RemovableHandle] = []
    for name, module in model.named_modules():
        if name:
            place = name.replace(".", "/")
            handles += follower.follow(place, module)
    try:
        model.eval()
        follower.place("images", batch.views.images)
        follower.place("cameras", batch.views.cameras)
        for number, views in enumerate(batch.adjacent, start=1):
            follower.place(f"images_{number}", views.images)
            follower.place(f"cameras_{number}", views.cameras)
        with _eager(model), follower:
            model(batch)
    finally:
        for handle in handles:
            handle.remove()
        for module, was in training.items():
            module.training = was
    return follower.nodes


def graph_def(nodes: Mapping[str, Node]) -> GraphDef:
    """A graph in TensorBoard's format."""
    found = []
    for name, node in nodes.items():
        shapes = [
            TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape])
            for shape in node.shapes
        ]
        attributes = {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))}
        if node.parameters:
            attributes["parameters"] = AttrValue(i=node.parameters)
        found.append(NodeDef(name=name, op=node.kind, input=[*node.inputs], attr=attributes))
    return GraphDef(node=found, versions=VersionDef(producer=22))


class _Follower(TorchDispatchMode):
    """Passes the names of nodes from the inputs of every operator on to its outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: dict[str, Node] = {}
        self._from = WeakTensorKeyDictionary()  # tensor -> names of the nodes that it comes from
        # Tensor that is a node's output, or its view -> True.
        self._whole = WeakTensorKeyDictionary()
        self._given: dict[nn.Module, dict[str, None]] = {}  # inputs of the running modules

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if came := self._sources((args, kwargs)):
            same = func.is_view and all(t in self._whole for t in _tensors(args))
            for tensor in _tensors(result):
                self._from[tensor] = {**self._from.get(tensor, {}), **came}
                if same:
                    self._whole[tensor] = True
                else:
                    self._whole.pop(tensor, None)
        return result

    def place(self, name: str, value: Any) -> None:
        """Add an input, and let its tensors come from it."""
        tensors = [*_tensors(value)]
        self.nodes[f"inputs/{name}"] = Node("input", shapes=[[*t.shape] for t in tensors[:1]])
        for tensor in tensors:
            self._from[tensor] = {f"inputs/{name}": None}

    def follow(self, name: str, module: nn.Module) -> Iterator[RemovableHandle]:
        """Register hooks on a module; iterates over their handles."""

        def begin(_: nn.Module, args: Any, kwargs: Any) -> None:
            self._given[module] = self._sources((args, kwargs))

        def end(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            given, outputs = self._given.pop(module, {}), [*_tensors(output)]
            if next(module.children(), None) is None:
                self._add(name, module, given, outputs)
            elif own := [t for t in outputs if t not in self._whole and self._from.get(t)]:
                self._add(f"{name}/{type(module).__name__}", module, self._sources(own), own)

        yield module.register_forward_pre_hook(begin, with_kwargs=True)
        yield module.register_forward_hook(end, with_kwargs=True)

    def _add(
        self, name: str, module: nn.Module, came: Iterable[str], outputs: Sequence[Tensor]
    ) -> None:
        """Add a node, or further inputs of one that has been called before."""
        if not outputs:
            return
        if name not in self.nodes:
            parts = f"{name.rpartition('/')[0]}/" if [*module.children()] else f"{name}/"
            others = sum(n.parameters for place, n in self.nodes.items() if place.startswith(parts))
            own = sum(p.numel() for p in module.parameters()) - others
            self.nodes[name] = Node(type(module).__name__, parameters=own)
        node = self.nodes[name]
        node.shapes = node.shapes or [[*tensor.shape] for tensor in outputs]
        node.inputs |= {source: None for source in came if source != name}
        for tensor in outputs:
            self._from[tensor], self._whole[tensor] = {name: None}, True

    def _sources(self, value: Any) -> dict[str, None]:
        return {name: None for t in _tensors(value) for name in self._from.get(t, {})}


def _eager(model: nn.Module) -> AbstractContextManager[object]:
    """Context in which compiled parts of a model run as they are written."""
    if all(getattr(part, "_compiled_call_impl", None) is None for part in model.modules()):
        return nullcontext()  # the compiler takes seconds to import
    return torch.compiler.set_stance("force_eager")


def _tensors(value: Any) -> Iterator[Tensor]:
    """All tensors of a nested value."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for part in fields(value):
            yield from _tensors(getattr(value, part.name))
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _tensors(one)

"""Ways to run a detector: eager, prepared, compiled, in half precision, and by other runtimes.

Each is a function from a batch in memory to boxes. A way that this machine lacks something for is
left out, with the reason.
"""

import copy
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.utils import _pytree

from bev.data.batch import Batch
from bev.geometry import Boxes3D
from bev.inference.prepare import prepare_for_inference
from bev.lab.benchmark.inference.exported import ExportedGraphs, Missing, Outputs, images_of
from bev.lab.deploy.formats import Format
from bev.lab.deploy.int8 import Feeds
from bev.lab.deploy.runtime import Runner, boxes_of
from bev.machine import has_fast_bf16
from bev.models import Detector
from bev.models.flip_tta import flipped
from bev.models.heads.center.targets import TaskOutput
from bev.models.weights.loading import first_line
from bev.training.module import compile_parts

Name = Literal[
    "eager", "folded", "channels first", "prepared", "compiled", "bf16", "fp16", "onnxruntime",
    "onnxruntime-int8", "openvino", "openvino-int8",
]  # fmt: skip
NAMES: tuple[Name, ...] = (
    "eager", "folded", "channels first", "prepared", "compiled", "bf16", "fp16", "onnxruntime",
    "openvino",
)  # fmt: skip
"""The ways that are measured unless others are named: INT8 takes minutes to prepare."""

_WINOGRAD = ("prepared", "compiled")
_EXPORTED: dict[Name, tuple[Format, bool]] = {
    "onnxruntime": ("onnx", False), "onnxruntime-int8": ("onnx", True),
    "openvino": ("openvino", False), "openvino-int8": ("openvino", True),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """A way to run a detector.

    Attributes:
        name: its name in tables.
        predict: function from a batch, on the device of the model, to a prediction or boxes.
        outputs: raw outputs for the batch that it was chosen with; those of both passes averaged
            with flip test-time augmentation.
        model: detector whose stages can be timed; None if it is one graph.
    """

    name: str
    predict: Callable[[Batch], object]
    outputs: Outputs
    model: Detector | None = None


class Chosen(NamedTuple):
    """Variants that run, and the reason for each that does not."""

    variants: list[Variant]
    left_out: dict[str, str]


def choose(
    model: Detector,
    heads: Sequence[str],
    batch: Batch,
    names: Sequence[Name],
    threads: int,
    feeds: Feeds | None = None,
) -> Chosen:
    """Build the named variants of a detector, and run each once.

    Args:
        model: trained detector in evaluation mode; it is not changed.
        heads: names of the heads that the prepared variants compute.
        batch: batch on the device of the model.
        names: names of the variants.
        threads: CPU threads of the runtimes that have their own.
        feeds: images of calibration frames for INT8; None for those of the batch.
    """
    own_feeds = [images_of(batch)] if feeds is None else feeds
    graphs = ExportedGraphs(copy.deepcopy(model), batch, own_feeds, threads)
    chosen = Chosen([], {})
    for name in names:
        try:
            if name in _EXPORTED:
                runner, found = graphs.runners(*_EXPORTED[name])
                variant = Variant(name, partial(_graph_boxes, runner), found)
            else:
                variant = _torch_variant(name, copy.deepcopy(model), heads, batch)
            variant.predict(batch)
        except Missing as reason:
            chosen.left_out[name] = str(reason)
        except Exception as error:  # compilers and exporters raise anything; the others go on
            chosen.left_out[name] = f"{type(error).__name__}: {first_line(error)}"
        else:
            chosen.variants.append(variant)
    return chosen


def _graph_boxes(runner: Runner, batch: Batch) -> list[Boxes3D]:
    return boxes_of(runner(images_of(batch)))


def _torch_variant(name: Name, model: Detector, heads: Sequence[str], batch: Batch) -> Variant:
    if name != "eager":
        prepare_for_inference(model, heads, winograd=name in _WINOGRAD, keep_memory=True)
    change = {"channels first": _channels_first, "compiled": _compile}.get(name)
    if change is not None:
        change(model)
    precision = {"bf16": _bf16, "fp16": _fp16}.get(name, _float32)(model)

    def within(work: Callable[[Batch], Any], batch: Batch) -> Any:
        half = precision != torch.float32
        with torch.autocast(batch.bev_from_ego.device.type, precision, enabled=half):
            return work(batch)

    outputs = within(partial(raw_outputs, model), batch)
    return Variant(name, partial(within, model.predict), outputs, model)


@torch.no_grad()
def raw_outputs(model: Detector, batch: Batch) -> Outputs:
    """Tensors of the output of each head, heatmaps as scores.

    With flip test-time augmentation the averaged output.
    """
    heads = model(batch).heads
    if model.config.flip_tta:
        mirrored = model(flipped(batch)).heads
        heads = {name: getattr(model, name).averaged(heads[name], mirrored[name]) for name in heads}
    return {name: _pytree.tree_leaves(_with_scores(output)) for name, output in heads.items()}


def _with_scores(output: Any) -> Any:
    """Output of a head with scores in place of the logits of heatmaps.

    Flip test-time augmentation averages scores, and the logit of a score that is nearly 0 is a
    thousand times less exact than the score.
    """

    def of_task(value: Any) -> Any:
        own = isinstance(value, TaskOutput)
        return value._replace(heatmap=value.heatmap.sigmoid()) if own else value

    return _pytree.tree_map(of_task, output, is_leaf=lambda value: isinstance(value, TaskOutput))


def _device(model: Detector) -> torch.device:
    return next(model.parameters()).device


class _ChannelsFirst(nn.Module):
    """Body of a backbone that receives its images channels-first in memory."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.body(images.contiguous())


def _channels_first(model: Detector) -> None:
    model.to(memory_format=torch.contiguous_format)
    model.backbone.body = _ChannelsFirst(model.backbone.body)


def _compile(model: Detector) -> None:
    """Compile by inductor, with the weights as constants that are packed for their kernels."""
    if _device(model).type == "cpu" and not _has_cpp_compiler():
        raise Missing("no C++ compiler is found: install g++ or clang++, or set CXX")
    torch._dynamo.reset()  # graphs of other models count against the limit of recompilations
    compile_parts(model, options={"freezing": True})


def _has_cpp_compiler() -> bool:
    names = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    return any(shutil.which(name) for name in names if name)


def _float32(model: Detector) -> torch.dtype:
    return torch.float32


def _bf16(model: Detector) -> torch.dtype:
    if not has_fast_bf16():
        raise Missing("this device does not multiply bfloat16 matrices in hardware")
    return torch.bfloat16


def _fp16(model: Detector) -> torch.dtype:
    if _device(model).type != "cuda":
        raise Missing("half precision is computed in float32 on a CPU; it needs a GPU")
    return torch.float16

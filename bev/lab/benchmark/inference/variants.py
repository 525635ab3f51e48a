"""Ways to run a detector: eager, prepared, compiled, in half precision, and by other runtimes.

Each is a :class:`Detector` with the same methods, so all are timed by the same call, from images in
memory to boxes. A way that this machine lacks something for is left out, with the reason.
"""

import copy
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import nn

from bev.data.batch import Batch
from bev.inference.prepare import prepare_for_inference
from bev.lab.benchmark.inference.runtimes import onnxruntime_session, openvino_session, run_by
from bev.machine import has_fast_bf16
from bev.models import Detector
from bev.models.detector import Prediction
from bev.models.weights.loading import first_line
from bev.training.module import compile_parts

Name = Literal[
    "eager", "folded", "channels first", "prepared", "compiled", "bf16", "fp16", "onnxruntime",
    "openvino",
]  # fmt: skip
NAMES: tuple[Name, ...] = (
    "eager", "folded", "channels first", "prepared", "compiled", "bf16", "fp16", "onnxruntime",
    "openvino",
)  # fmt: skip

_WINOGRAD = ("prepared", "compiled")


@dataclass(frozen=True)
class Variant:
    """A way to run a detector.

    Attributes:
        name: its name in tables.
        model: detector that computes this way.
        precision: dtype of autocast; float32 for none.
        first: its first prediction; None before there is one.
    """

    name: str
    model: Detector
    precision: torch.dtype = torch.float32
    first: Prediction | None = None

    def predict(self, batch: Batch) -> Prediction:
        """Predict the boxes of a batch that is on the device of the model."""
        half = self.precision != torch.float32
        with torch.autocast(batch.bev_from_ego.device.type, self.precision, enabled=half):
            return self.model.predict(batch)


class Missing(Exception):
    """This machine lacks something that a way to run a detector needs; the text names it."""


class Chosen(NamedTuple):
    """Variants that run, and the reason for each that does not."""

    variants: list[Variant]
    left_out: dict[str, str]


def choose(
    model: Detector, heads: Sequence[str], batch: Batch, names: Sequence[Name], threads: int
) -> Chosen:
    """Build the named variants of a detector, and run each once.

    Args:
        model: trained detector in evaluation mode; it is not changed.
        heads: names of the heads that the prepared variants compute.
        batch: batch on the device of the model.
        names: names of the variants.
        threads: CPU threads of the runtimes that have their own.
    """
    makers: Mapping[str, Callable[[Detector], Variant]] = {
        "eager": partial(Variant, "eager"),
        "folded": partial(Variant, "folded"),
        "channels first": _channels_first,
        "prepared": partial(Variant, "prepared"),
        "compiled": _compiled,
        "bf16": _bf16,
        "fp16": _fp16,
        "onnxruntime": lambda one: _by_runtime(one, batch, "onnxruntime", threads),
        "openvino": lambda one: _by_runtime(one, batch, "openvino", threads),
    }
    chosen = Chosen([], {})
    for name in names:
        own = copy.deepcopy(model)
        if name != "eager":
            prepare_for_inference(own, heads, winograd=name in _WINOGRAD)
        try:
            variant = makers[name](own)
            variant = replace(variant, first=variant.predict(batch))
        except Missing as reason:
            chosen.left_out[name] = str(reason)
        except Exception as error:  # compilers and exporters raise anything; the others go on
            chosen.left_out[name] = f"{type(error).__name__}: {first_line(error)}"
        else:
            chosen.variants.append(variant)
    return chosen


def _device(model: Detector) -> torch.device:
    return next(model.parameters()).device


class _ChannelsFirst(nn.Module):
    """Body of a backbone that receives its images channels-first in memory."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return self.body(images.contiguous())


def _channels_first(model: Detector) -> Variant:
    model.to(memory_format=torch.contiguous_format)
    model.backbone.body = _ChannelsFirst(model.backbone.body)
    return Variant("channels first", model)


def _compiled(model: Detector) -> Variant:
    """Compiled by inductor, with the weights as constants that are packed for their kernels."""
    if _device(model).type == "cpu" and not _has_cpp_compiler():
        raise Missing("no C++ compiler is found: install g++ or clang++, or set CXX")
    torch._dynamo.reset()  # graphs of other models count against the limit of recompilations
    compile_parts(model, options={"freezing": True})
    return Variant("compiled", model)


def _has_cpp_compiler() -> bool:
    names = [os.environ.get("CXX", ""), "g++", "clang++", "cl"]
    return any(shutil.which(name) for name in names if name)


def _bf16(model: Detector) -> Variant:
    if not has_fast_bf16():
        raise Missing("this device does not multiply bfloat16 matrices in hardware")
    return Variant("bf16", model, torch.bfloat16)


def _fp16(model: Detector) -> Variant:
    if _device(model).type != "cuda":
        raise Missing("half precision is computed in float32 on a CPU; it needs a GPU")
    return Variant("fp16", model, torch.float16)


def _by_runtime(model: Detector, batch: Batch, name: str, threads: int) -> Variant:
    if _device(model).type != "cpu":
        raise Missing(f"{name} is measured on CPUs only")
    sessions = {"onnxruntime": onnxruntime_session, "openvino": openvino_session}
    needed = {"onnxruntime": ("onnx", "onnxscript", "onnxruntime")}
    needed["openvino"] = ("onnx", "onnxscript", "openvino")
    for package in needed[name]:
        if not _installed(package):
            raise Missing(f"it needs {package}; install it with pip install 'bevlab[export]'")
    run_by(model, batch, partial(sessions[name], threads=threads))
    return Variant(name, model)


def _installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None

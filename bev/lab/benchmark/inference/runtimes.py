"""The dense parts of a detector run by ONNX Runtime or OpenVINO, the rest by PyTorch.

Backbone and neck, BEV encoder, and the heads that read BEV features only are exported as one ONNX
graph each, and take their places in the detector. View transform, temporal fusion and decoding stay
as they are, so every detector runs this way.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree

from bev.data.batch import Batch
from bev.models import Detector
from bev.models.heads.base import Features

Session = Callable[[list[np.ndarray]], Sequence[np.ndarray]]
"""Function from the arrays of the inputs to those of the outputs."""


class _ImagePart(nn.Module):
    """Backbone and neck."""

    def __init__(self, model: Detector) -> None:
        super().__init__()
        self.backbone, self.neck = model.backbone, model.neck

    def forward(self, images: Tensor) -> Tensor:
        return self.neck(self.backbone(images))


class _HeadPart(nn.Module):
    """A head as a function of BEV features; its output is a flat list of tensors."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, bev: Tensor) -> list[Tensor]:
        output = self.head(Features(bev, None, None))  # type: ignore[arg-type]
        return [leaf for leaf in _pytree.tree_leaves(output) if leaf.numel()]


class _Run(nn.Module):
    """A part that a session computes."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session

    def forward(self, value: Tensor) -> list[Tensor]:
        return [torch.from_numpy(array) for array in self.session([value.contiguous().numpy()])]


class _First(nn.Module):
    """The first of several values."""

    def forward(self, values: list[Tensor]) -> Tensor:
        return values[0]


@torch.no_grad()
def run_by(model: Detector, batch: Batch, load: Callable[[Path], Session]) -> None:
    """Put the dense parts of a prepared detector on another runtime, in place.

    Args:
        model: prepared detector on the CPU.
        batch: batch whose sizes the graphs are made for.
        load: function from an ONNX file to a session.
    """
    features = model.features(batch)
    inputs: dict[str, Tensor] = {}
    handle = model.encoder.register_forward_pre_hook(lambda _, given: inputs.update(bev=given[0]))
    model.features(batch)
    handle.remove()
    images = batch.views.images.flatten(0, 1)
    image_part = _Run(_session(_ImagePart(model), images, load))
    encoder = _Run(_session(model.encoder, inputs["bev"].contiguous(), load))
    for name in [name for name in model.config.heads if name not in model.left_out]:
        head = getattr(model, name)
        try:
            output = head(Features(features.bev, None, None))  # type: ignore[arg-type]
        except Exception:  # a head that reads more than BEV features stays as it is
            continue
        if not all(isinstance(leaf, Tensor) for leaf in _pytree.tree_leaves(output)):
            continue
        part = _Run(_session(_HeadPart(head), features.bev.contiguous(), load))
        head.forward = _Rebuilt(part, output)
    model.backbone, model.neck = image_part, _First()  # type: ignore[assignment]
    model.encoder = nn.Sequential(encoder, _First())  # type: ignore[assignment]


class _Rebuilt:
    """Forward function of a head whose tensors a session computes; their structure is known."""

    def __init__(self, part: _Run, output: Any) -> None:
        self.part = part
        self.leaves, self.structure = _pytree.tree_flatten(output)

    def __call__(self, features: Features) -> Any:
        found = iter(self.part(features.bev))
        leaves = [next(found) if leaf.numel() else leaf for leaf in self.leaves]
        return _pytree.tree_unflatten(leaves, self.structure)


def _session(part: nn.Module, value: Tensor, load: Callable[[Path], Session]) -> Session:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.onnx"
        torch.onnx.export(part.eval(), (value,), str(path), dynamo=True, verbose=False)
        return load(path)


def onnxruntime_session(path: Path, threads: int) -> Session:
    """Session of ONNX Runtime on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        path.read_bytes() if _whole(path) else str(path), options, ["CPUExecutionProvider"]
    )
    names = [one.name for one in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def openvino_session(path: Path, threads: int) -> Session:
    """Session of OpenVINO on the CPU, in float32."""
    import openvino

    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(
        str(path), "CPU", {**hints, "INFERENCE_NUM_THREADS": threads}
    )

    def run(arrays: list[np.ndarray]) -> list[np.ndarray]:
        found = compiled(arrays)
        return [found[number] for number in range(len(found))]

    return run


def _whole(path: Path) -> bool:
    """Return whether an ONNX file holds its weights, not a file beside it."""
    return not path.with_name(f"{path.name}.data").exists()

"""Exported detectors in ONNX Runtime and OpenVINO, with the batches of this package."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from bev.data.batch import Batch
from bev.errors import ConfigError
from bev.geometry import Boxes3D
from bev.lab.deploy.geometry import graph_inputs
from bev.lab.deploy.nms import rotated_nms
from bev.models import Detector

INSTALL = "pip install 'bevlab[export]'"


def installed(package: str) -> bool:
    """Return whether a package is installed."""
    return find_spec(package) is not None


@runtime_checkable
class Runner(Protocol):
    """A graph in a runtime: inputs by name to outputs by name.

    Attributes:
        inputs: names of the inputs.
    """

    inputs: list[str]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]: ...


class OnnxRunner:
    """An exported ONNX file in ONNX Runtime, on the CPU.

    Attributes:
        metadata: texts of the file, see ``bev.lab.deploy.exporting.metadata``.

    Args:
        file: file, or its content.
        threads: threads; 0 for all cores.

    Raises:
        ConfigError: if onnxruntime is missing.
    """

    def __init__(self, file: Path | bytes, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(f"Running needs the package onnxruntime; {INSTALL}.") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        source = file if isinstance(file, bytes) else str(file)
        self.session = onnxruntime.InferenceSession(
            source, options, providers=["CPUExecutionProvider"]
        )
        self.metadata = dict(self.session.get_modelmeta().custom_metadata_map)
        self.inputs = [one.name for one in self.session.get_inputs()]
        self.outputs = [one.name for one in self.session.get_outputs()]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.outputs, self.session.run(None, dict(inputs)), strict=True))


class OpenVinoRunner:
    """An exported OpenVINO file, or a model in memory, on the CPU, computed in float32 or INT8.

    Raises:
        ConfigError: if openvino is missing.
    """

    def __init__(self, file: Any, threads: int = 0) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ConfigError(f"Running needs the package openvino; {INSTALL}.") from error
        settings = {"INFERENCE_PRECISION_HINT": "f32"}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        source = str(file) if isinstance(file, Path) else file
        self.compiled = openvino.Core().compile_model(source, "CPU", settings)
        self.inputs = [one.get_any_name() for one in self.compiled.inputs]

    def __call__(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = self.compiled(dict(inputs))
        return {out.get_any_name(): np.asarray(found[out]) for out in self.compiled.outputs}


def runner_of(file: Path, threads: int = 0) -> Runner:
    """An exported file, .onnx or .xml, in its runtime."""
    return OnnxRunner(file, threads) if file.suffix == ".onnx" else OpenVinoRunner(file, threads)


def boxes_of(outputs: Mapping[str, Any], nms: Mapping[str, Any] | None = None) -> list[Boxes3D]:
    """Boxes of each sample in the outputs of a graph with decoding.

    Args:
        outputs: outputs of the graph, by name.
        nms: metadata ``nms`` of candidates, from JSON, which is applied; None for boxes after NMS.
    """
    found = []
    names = ("boxes", "scores", "labels", "attributes")
    for box, score, label, attribute in zip(
        *(torch.as_tensor(outputs[name]) for name in names), strict=True
    ):
        valid = score > 0
        if nms is not None:
            arrays = (box.numpy(), score.numpy(), label.numpy())
            valid = torch.from_numpy(rotated_nms(*arrays, **nms))
        box = box[valid].float()
        found.append(
            Boxes3D.make(
                center=box[:, :3], size=box[:, 3:6], yaw=box[:, 6], velocity=box[:, 7:],
                label=label[valid].long(), score=score[valid].float(),
                attribute=attribute[valid].long(),
            )
        )  # fmt: skip
    return found


def detect(
    runner: Runner, detector: Detector, batch: Batch, nms: Mapping[str, Any] | None = None
) -> list[Boxes3D]:
    """Boxes of each sample by a single-frame graph of a detector.

    If the calibration is an input, that of the first sample is used for all. See :func:`boxes_of`
    for ``nms``.
    """
    return boxes_of(runner(graph_inputs(detector, batch, runner.inputs)), nms)

"""Exported graphs of a detector as ways to run it: those that ``bevlab export`` writes."""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bev.data.batch import Batch
from bev.lab.deploy.exporting import Example, build_example
from bev.lab.deploy.formats import (
    Format,
    onnx_model,
    openvino_model,
    packages,
    with_outputs,
)
from bev.lab.deploy.graph import main_heads
from bev.lab.deploy.int8 import Feeds, quantized
from bev.lab.deploy.runtime import INSTALL, OnnxRunner, OpenVinoRunner, Runner, installed
from bev.lab.deploy.settings import GraphSettings, Int8Settings
from bev.models import Detector
from bev.models.folding import fold_batch_norms
from bev.models.heads.center.head import CenterHead
from bev.models.heads.center.targets import TaskOutput

Outputs = dict[str, Sequence[Tensor]]
"""Tensors of the raw output of each head, by name."""


class Missing(Exception):
    """This machine lacks something that a way to run a detector needs; the text names it."""


class ExportedGraphs:
    """The graphs of a detector for the calibration of a batch: images to boxes in one call.

    The calibration is a part of the graphs, as the prepared detector keeps its plan.

    Args:
        model: trained detector in evaluation mode on the CPU; its batch norms are folded in place.
        batch: batch whose calibration the graphs have.
        feeds: images of calibration frames for INT8.
        threads: CPU threads; 0 for all cores.
    """

    def __init__(self, model: Detector, batch: Batch, feeds: Feeds, threads: int) -> None:
        self.model, self.batch, self.feeds, self.threads = model, batch, feeds, threads

    @cached_property
    def _example(self) -> Example:
        fold_batch_norms(self.model)
        return build_example(self.model, self.batch, GraphSettings(), maps=True)

    @cached_property
    def _float32(self) -> Any:
        return onnx_model(self._example, GraphSettings())

    @cached_property
    def _int8(self) -> Any:
        choices = Int8Settings.tolerance, partial(print, flush=True)
        return quantized(self._float32, self._example.dense, self.feeds, *choices)[0]

    def runners(self, form: Format, int8: bool) -> tuple[Runner, Outputs]:
        """A graph with its results alone in its runtime, and its raw outputs for the batch.

        Raises:
            Missing: if a package is missing, or one graph cannot compute the batch.
            ConfigError: if the detector has a part without a graph.
        """
        for package in packages(form, int8, run=True):
            if not installed(package):
                raise Missing(f"it needs {package}; install it with {INSTALL}")
        if next(self.model.parameters()).device.type != "cpu":
            raise Missing("exported graphs are measured on CPUs only")
        if self.batch.adjacent:
            raise Missing("a graph computes the features of one frame in each call")
        cameras = self.batch.views.cameras
        for one in (cameras.intrinsics, cameras.ego_from_camera, cameras.image_from_original):
            if not torch.equal(one, one[:1].expand_as(one)):
                raise Missing("a graph has one calibration, and the samples have several")
        graph = self._int8 if int8 else self._float32
        found = self._runner(form, graph, self._example.dense)(images_of(self.batch))
        return self._runner(form, graph, self._example.results), self._outputs(found)

    def _runner(self, form: Format, graph: Any, outputs: Sequence[str]) -> Runner:
        model = with_outputs(graph, outputs)
        if form == "onnx":
            return OnnxRunner(model.SerializeToString(), self.threads)
        return OpenVinoRunner(openvino_model(model), self.threads)

    def _outputs(self, maps: Mapping[str, np.ndarray]) -> Outputs:
        """Outputs of the detection head in the order of the detector's; no other is compared."""
        heads = {name: getattr(self.model, name) for name in main_heads(self.model)}
        names = [name for name, head in heads.items() if isinstance(head, CenterHead)]
        count = sum(name.endswith("_heatmap") for name in maps)
        leaves = []
        for number in range(count):
            for part in TaskOutput._fields:
                found = maps.get(f"task{number}_{part}", np.zeros(0, np.float32))
                leaves.append(torch.as_tensor(found))
                if part == "heatmap":  # as in ``raw_outputs``
                    leaves[-1] = leaves[-1].sigmoid()
        return dict.fromkeys(names, leaves)


def images_of(batch: Batch) -> dict[str, np.ndarray]:
    """Inputs of a graph of fixed calibration."""
    return {"images": batch.views.images.numpy()}

"""Static INT8 quantisation of exported detectors: calibration, sensitive layers, and both tools.

Convolutions are quantised, weights for each output channel and activations for each tensor; the
lifting, the pooling and the decoding stay in float. Layers whose quantisation changes the scores
most are kept in float, as many as the tolerance asks for (:func:`sensitive_layers`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bev.errors import ConfigError
from bev.lab.deploy.runtime import INSTALL, OnnxRunner
from bev.models.weights.loading import first_line

Feeds = Sequence[Mapping[str, np.ndarray]]
"""Inputs of a graph for each calibration frame."""

_SHOWN = 0.05  # scores of cells that count for the damage


class Quantizer:
    """Quantiser of one graph by ONNX Runtime; the ranges of activations are measured once.

    Args:
        model: graph, an ``onnx.ModelProto``.
        feeds: calibration frames.
        folder: existing folder for temporary files.
    """

    def __init__(self, model: Any, feeds: Feeds, folder: Path) -> None:
        try:
            import onnx
            from onnxruntime.quantization.shape_inference import quant_pre_process
        except ImportError as error:
            raise ConfigError(f"INT8 needs the package {error.name}; {INSTALL}.") from error
        self.feeds, self.folder = feeds, folder
        raw, self.prepared = folder / "raw.onnx", folder / "prepared.onnx"
        onnx.save(model, str(raw))
        quant_pre_process(str(raw), str(self.prepared), skip_symbolic_shape=True)
        prepared = onnx.load(str(self.prepared))
        constants = {one.name for one in prepared.graph.initializer}
        self.layers = [
            node.name
            for node in prepared.graph.node
            if node.op_type == "Conv" and node.input[0] not in constants
        ]
        self.metadata = {one.key: one.value for one in model.metadata_props}

    def __call__(self, layers: Sequence[str]) -> bytes:
        """Quantise these layers; returns the content of the ONNX file."""
        import onnx
        from onnxruntime.quantization import (
            CalibrationDataReader,
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        feeds = self.feeds

        class Reader(CalibrationDataReader):
            def __init__(self) -> None:
                self.rest = iter(feeds)

            def get_next(self) -> Any:
                return next(self.rest, None)

        cache, out = self.folder / "ranges.json", self.folder / "int8.onnx"
        quantize_static(
            str(self.prepared), str(out), Reader(), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"], per_channel=True,
            reduce_range=True,  # 7 bits of weights: without VNNI, sums of two products saturate
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=list(layers), calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=str(cache),
        )  # fmt: skip
        model = onnx.load(str(out))
        del model.metadata_props[:]
        for key, value in self.metadata.items():
            model.metadata_props.add(key=key, value=value)
        return model.SerializeToString()


def sensitive_layers(
    quantizer: Quantizer, feeds: Feeds, tolerance: float, report: Callable[[str], None]
) -> list[str]:
    """Layers to keep in float, by measurement on a graph that outputs maps.

    Each layer is quantised alone and its damage measured: the root mean square difference of the
    scores (sigmoid of the heatmaps) at cells of a score above 0.05. The most damaging layers are
    kept in float, 0, 1, 2, 4, … of them, until the damage of all others together is at most the
    tolerance.

    Args:
        quantizer: quantiser of the graph with maps.
        feeds: frames to measure on.
        tolerance: greatest root mean square difference of scores.
        report: receives a sentence for each step.
    """
    maps = OnnxRunner(quantizer.prepared)
    want = [scores_of(maps(feed)) for feed in feeds]

    def damage(layers: Sequence[str]) -> float:
        run = OnnxRunner(quantizer(layers))
        return damage_of(want, [scores_of(run(feed)) for feed in feeds])

    whole = damage(quantizer.layers)
    report(f"all {len(quantizer.layers)} layers in INT8: scores change by {whole:.4f}")
    if whole <= tolerance:
        return []
    alone = {name: damage([name]) for name in quantizer.layers}
    order = sorted(alone, key=lambda name: -alone[name])
    for name in order[:8]:
        report(f"  {name} alone: {alone[name]:.4f}")
    count = 1
    while count < len(order):
        rest = damage([name for name in quantizer.layers if name not in order[:count]])
        report(f"{count} of them in float: {rest:.4f}")
        if rest <= tolerance:
            break
        count *= 2
    return order[:count]


def scores_of(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores of all heatmaps of a graph with maps."""
    maps = [value for name, value in sorted(outputs.items()) if name.endswith("heatmap")]
    return 1 / (1 + np.exp(-np.concatenate([m.ravel() for m in maps])))


def damage_of(want: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """Root mean square difference of scores where either of two is above 0.05."""
    a, b = np.concatenate(list(want)), np.concatenate(list(got))
    seen = (a > _SHOWN) | (b > _SHOWN)
    return float(np.sqrt(np.mean((a[seen] - b[seen]) ** 2))) if seen.any() else 0.0


def quantized_onnx(
    model: Any, maps: Any, feeds: Feeds, tolerance: float, report: Callable[[str], None]
) -> tuple[bytes, list[str]]:
    """Quantise a graph by ONNX Runtime; returns the file's content and the layers kept in float.

    Args:
        model: graph to quantise.
        maps: graph of the same detector that outputs maps, for the search.
        feeds: calibration frames; the search measures on the first four.
        tolerance: see :func:`sensitive_layers`.
        report: receives a sentence for each step.
    """
    with TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("maps", "graph")]
        for place in places:
            os.mkdir(place)
        search = Quantizer(maps, feeds, places[0])
        kept = sensitive_layers(search, feeds[:4], tolerance, report)
        quantizer = Quantizer(model, feeds, places[1])
        layers = [name for name in quantizer.layers if name not in kept]
        return quantizer(layers), kept


def quantized_openvino(found: Any, feeds: Feeds, kept: Sequence[str]) -> Any:
    """Quantise an ``openvino.Model`` by NNCF, with these layers in float.

    Raises:
        ConfigError: if NNCF is not installed, or cannot read the graph.
    """
    try:
        import nncf
    except ImportError as error:
        raise ConfigError(f"INT8 for OpenVINO needs the package nncf; {INSTALL}.") from error
    scope = nncf.IgnoredScope(
        names=list(kept), types=["MatMul", "ScatterElementsUpdate"], validate=False
    )
    try:
        return nncf.quantize(
            found, nncf.Dataset([dict(feed) for feed in feeds]), subset_size=len(feeds),
            preset=nncf.QuantizationPreset.MIXED, ignored_scope=scope,
        )  # fmt: skip
    except nncf.InternalError as error:
        raise ConfigError(
            f"NNCF cannot quantise this graph ({first_line(error)}); export it without --int8."
        ) from error

"""Static INT8 quantisation of exported detectors by ONNX Runtime: ranges, and sensitive layers.

Convolutions are quantised, weights for each output channel and activations for each tensor; the
lifting, the pooling and the decoding stay in float. Layers whose quantisation changes the scores
most are kept in float, as many as the tolerance asks for (:func:`sensitive_layers`). The result is
a graph of standard operators (``QuantizeLinear``, ``DequantizeLinear``), which OpenVINO converts
and computes in INT8 as well.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bev.errors import ConfigError
from bev.lab.deploy.formats import with_outputs
from bev.lab.deploy.runtime import INSTALL, OnnxRunner

Feeds = Sequence[Mapping[str, np.ndarray]]
"""Inputs of a graph for each calibration frame."""

Report = Callable[[str], None]
"""Receives a sentence for each step."""

_SHOWN = 0.05  # scores of cells that count for the damage
_MEASURED = 4  # frames that the search measures on


class Quantizer:
    """Quantiser of one graph; the ranges of its activations are measured once.

    Attributes:
        layers: names of the convolutions that can be quantised.

    Args:
        model: graph, an ``onnx.ModelProto`` whose outputs include maps.
        maps: names of all outputs that are not decoded boxes.
        feeds: calibration frames; damage is measured on the first four.

    Raises:
        ConfigError: if a package is missing.
    """

    def __init__(self, model: Any, maps: Sequence[str], feeds: Feeds) -> None:
        try:
            import onnx
            from onnxruntime.quantization.shape_inference import quant_pre_process
        except ImportError as error:
            raise ConfigError(f"INT8 needs the package {error.name}; {INSTALL}.") from error
        self.maps, self.feeds = maps, feeds
        self._folder = TemporaryDirectory()
        self.prepared = self._path("prepared.onnx")
        onnx.save(model, self._path("raw.onnx"))
        quant_pre_process(self._path("raw.onnx"), self.prepared, skip_symbolic_shape=True)
        prepared = onnx.load(self.prepared)
        self.layers = inner_convolutions(prepared.graph, maps)
        self.shown = [feeds[number] for number in range(min(_MEASURED, len(feeds)))]
        self.want = self._scores(model)

    def damage(self, layers: Sequence[str]) -> float:
        """Damage by these layers in INT8, see :func:`damage_of`."""
        return damage_of(self.want, self._scores(self(layers)))

    def _scores(self, model: Any) -> list[np.ndarray]:
        run = OnnxRunner(with_outputs(model, self.maps).SerializeToString())
        return [scores_of(run(feed)) for feed in self.shown]

    def _path(self, name: str) -> str:
        return str(Path(self._folder.name) / name)

    def __call__(self, layers: Sequence[str]) -> Any:
        """Quantise these layers; returns an ``onnx.ModelProto`` with all outputs."""
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

        quantize_static(
            self.prepared, self._path("int8.onnx"), Reader(), quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"], per_channel=True,
            reduce_range=True,  # 7 bits of weights: without VNNI, sums of two products saturate
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            nodes_to_quantize=list(layers), calibrate_method=CalibrationMethod.MinMax,
            calibration_cache_path=self._path("ranges.json"),
        )  # fmt: skip
        found = onnx.load(self._path("int8.onnx"))
        # ONNX Runtime's own order forgets what the bodies of loops read.
        return with_outputs(found, [one.name for one in found.graph.output])


def inner_convolutions(graph: Any, maps: Sequence[str]) -> list[str]:
    """Names of the convolutions of an ``onnx.GraphProto`` that another convolution reads.

    The last ones stay in float: all maps of a head are one tensor with one range, that of the
    logits, whose 256 steps are too coarse for the logarithms of sizes. So do those of constants.
    """
    makers = {name: node for node in graph.node for name in node.output}
    constants = {one.name for one in graph.initializer}
    last, rest, done = set(), list(maps), set()
    while rest:
        name = rest.pop()
        if name in done or name not in makers:
            continue
        done.add(name)
        if makers[name].op_type == "Conv":
            last.add(makers[name].name)
        else:
            rest += makers[name].input
    found = [node for node in graph.node if node.op_type == "Conv" and node.name not in last]
    return [node.name for node in found if node.input[0] not in constants]


def sensitive_layers(
    layers: Sequence[str],
    damage: Callable[[Sequence[str]], float],
    tolerance: float,
    report: Report,
) -> list[str]:
    """Layers to keep in float, by measurement.

    Each layer is quantised alone and its damage measured. The most damaging layers are kept in
    float, 0, 1, 2, 4, … of them, until the damage of all others together is at most the tolerance.

    Args:
        layers: names of all layers.
        damage: damage done when these layers are quantised, see :func:`damage_of`.
        tolerance: greatest damage.
        report: receives a sentence for each step.
    """
    whole = damage(layers)
    report(f"all {len(layers)} layers in INT8: scores change by {whole:.4f}")
    if whole <= tolerance:
        return []
    alone = {name: damage([name]) for name in layers}
    order = sorted(alone, key=lambda name: -alone[name])
    for name in order[:8]:
        report(f"  {name} alone: {alone[name]:.4f}")
    count = 1
    while count < len(order):
        rest = damage([name for name in layers if name not in order[:count]])
        report(f"{count} of them in float: {rest:.4f}")
        if rest <= tolerance:
            break
        count *= 2
    return order[:count]


def scores_of(outputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Scores of all heatmaps and segmentation maps among the outputs of a graph."""
    maps = [v for name, v in sorted(outputs.items()) if name.endswith("heatmap")]
    areas = [outputs[name].ravel() for name in outputs.keys() & {"segmentation"}]
    return np.concatenate([*(1 / (1 + np.exp(-m.ravel())) for m in maps), *areas])


def damage_of(want: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> float:
    """Root mean square difference of scores where either of two is above 0.05."""
    a, b = np.concatenate(list(want)), np.concatenate(list(got))
    seen = (a > _SHOWN) | (b > _SHOWN)
    return float(np.sqrt(np.mean((a[seen] - b[seen]) ** 2))) if seen.any() else 0.0


def quantized(
    model: Any, maps: Sequence[str], feeds: Feeds, tolerance: float, report: Report
) -> tuple[Any, list[str]]:
    """Quantise a graph, with sensitive layers in float.

    Args:
        model: graph, an ``onnx.ModelProto`` whose outputs include maps.
        maps: names of all outputs that are not decoded boxes.
        feeds: calibration frames; damage is measured on the first four.
        tolerance: greatest root mean square change of scores, see :func:`sensitive_layers`.
        report: receives a sentence for each step.

    Returns:
        An ``onnx.ModelProto`` with all outputs, and the names of the layers kept in float.
    """
    quantizer = Quantizer(model, maps, feeds)
    kept = sensitive_layers(quantizer.layers, quantizer.damage, tolerance, report)
    report(f"in float: {', '.join(kept) or 'none'}")
    return quantizer([name for name in quantizer.layers if name not in kept]), kept

"""Formats of an exported detector: ONNX, OpenVINO and torch.export, in memory and as files."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch

from bev import __version__
from bev.errors import ConfigError
from bev.files import replacing
from bev.lab.deploy.exporting import Example
from bev.lab.deploy.runtime import INSTALL, installed
from bev.lab.deploy.settings import GraphSettings
from bev.lab.deploy.tensorrt import tensorrt_faults

Format = Literal["onnx", "torch-export", "openvino"]


def packages(form: Format, int8: bool = False, run: bool = False) -> list[str]:
    """Packages of the extra ``export`` that a graph needs.

    Args:
        form: its format.
        int8: it is quantised.
        run: it is computed in its runtime.
    """
    if form == "torch-export":
        return []
    found = ["onnx", "onnxscript"]
    if form == "openvino":
        found.append("openvino")
    if int8 or (run and form == "onnx"):
        found.append("onnxruntime")
    return found


def check_packages(form: Format, int8: bool = False, run: bool = False) -> None:
    """Check that the :func:`packages` are installed; raises ConfigError."""
    for package in packages(form, int8, run):
        if not installed(package):
            raise ConfigError(f"Export needs the package {package}; {INSTALL}.")


def onnx_model(example: Example, settings: GraphSettings) -> Any:
    """The graph as an ``onnx.ModelProto`` of standard operators, checked.

    Raises:
        ConfigError: if a package of the extra ``export`` is missing, or the graph of the padded
            form has an operator that TensorRT does not import.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch.onnx needs it)
    except ImportError as error:
        raise ConfigError(f"Export needs the package {error.name}; {INSTALL}.") from error
    with _quiet():
        program: Any = torch.onnx.export(
            example.graph, (), kwargs=example.inputs, dynamo=True, opset_version=18,
            dynamic_shapes=example.shapes, input_names=example.names,
            output_names=example.outputs, verbose=False,
        )  # fmt: skip
    model = with_metadata(program.model_proto, {})
    model.producer_name, model.producer_version = "bevlab", __version__
    onnx.checker.check_model(model, full_check=True)
    if domains := {o.domain for o in model.opset_import} - {"", "ai.onnx"}:
        raise ConfigError(f"The graph uses operators of {', '.join(sorted(domains))}.")
    faults = tensorrt_faults(model) if settings.pooling == "padded" else []
    if faults:
        raise ConfigError(f"The padded form is not one for TensorRT: {' '.join(faults)}")
    return model


def with_metadata(model: Any, notes: Mapping[str, str]) -> Any:
    """Replace the metadata of an ``onnx.ModelProto``; returns it."""
    del model.metadata_props[:]
    for key, value in notes.items():
        model.metadata_props.add(key=key, value=value)
    return model


def with_outputs(model: Any, names: Sequence[str]) -> Any:
    """A copy of an ``onnx.ModelProto`` with these outputs and the nodes they need, in order."""
    import onnx

    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    outputs = {one.name: one for one in model.graph.output}
    nodes = _in_order(model.graph, names)
    needed = {*names}.union(*map(_reads, nodes))
    constants = [one for one in model.graph.initializer if one.name in needed]
    for field, values in (
        (graph.output, [outputs[name] for name in names]),
        (graph.node, nodes),
        (graph.initializer, constants),
    ):
        del field[:]
        field.extend(values)
    return found


def _in_order(graph: Any, names: Sequence[str]) -> list[Any]:
    """The ONNX nodes that values need, each behind those whose results it reads."""
    makers = {name: node for node in graph.node for name in node.output if name}
    order, done = [], set()
    rest = [makers[name] for name in names if name in makers]
    while rest:
        node = rest[-1]
        before = [makers[n] for n in sorted(_reads(node)) if n in makers and n not in done]
        if before:
            rest += before
            continue
        rest.pop()
        if node.output[0] not in done:
            order.append(node)
            done.update(node.output)
    return order


def _reads(node: Any) -> set[str]:
    """Names of the values that an ONNX node reads, those of the bodies of loops included."""
    names = set(node.input)
    for attribute in node.attribute:
        if attribute.HasField("g"):
            names |= {one.name for one in attribute.g.output}
            names = names.union(*map(_reads, attribute.g.node))
    return names


def openvino_model(model: Any) -> Any:
    """An ``onnx.ModelProto`` as an ``openvino.Model``."""
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(f"Export to OpenVINO needs the package openvino; {INSTALL}.") from error
    from io import BytesIO

    return openvino.convert_model(BytesIO(model.SerializeToString()))


def write_onnx(model: Any, path: Path) -> None:
    """Write an ``onnx.ModelProto``."""
    with replacing(path) as partial:
        partial.write_bytes(model.SerializeToString())


def write_openvino(found: Any, notes: Mapping[str, str], path: Path, half: bool) -> None:
    """Write an ``openvino.Model`` as ``path`` (.xml) and its weights (.bin).

    Args:
        found: the model.
        notes: metadata, written as its ``bevlab``.
        path: file that ends in .xml.
        half: write weights in half precision.
    """
    import openvino

    for key, value in notes.items():
        found.set_rt_info(value, ["bevlab", key])
    with TemporaryDirectory(dir=path.parent) as folder:
        openvino.save_model(found, str(Path(folder) / path.name), compress_to_fp16=half)
        for suffix in (".bin", ".xml"):
            place = path.with_suffix(suffix)
            (Path(folder) / place.name).replace(place)


def write_torch(example: Example, notes: Mapping[str, str], path: Path) -> None:
    """Write the program of ``torch.export``, with the metadata as extra files."""
    with _quiet(), torch.no_grad():
        program = torch.export.export(
            example.graph, (), kwargs=example.inputs, dynamic_shapes=example.shapes
        )
    with replacing(path) as partial:
        torch.export.save(program, partial, extra_files=dict(notes))


@contextmanager
def _quiet() -> Iterator[None]:
    """Context in which exporters log and print nothing but errors."""
    import io
    import warnings
    from contextlib import redirect_stdout

    loggers = [
        logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    ]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

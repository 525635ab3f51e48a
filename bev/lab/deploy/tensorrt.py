"""Check of an ONNX graph against the operators that TensorRT 10 imports.

The list is data (``tensorrt_operators.json``, with its source). It compares names and a few
conditions; it is no build, which only TensorRT itself can do.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def operators() -> dict[str, Any]:
    """The list: ``source``, ``supported`` names, and ``refused`` ones with the reason."""
    return json.loads(Path(__file__).with_name("tensorrt_operators.json").read_text())


def tensorrt_faults(model: Any) -> list[str]:
    """Sentences about nodes of an ``onnx.ModelProto`` that TensorRT 10 does not import."""
    known = operators()
    supported, refused = set(known["supported"]), known["refused"]
    faults = set()
    for node in nodes(model.graph):
        attributes = {a.name: a for a in node.attribute}
        reduction = attributes["reduction"].s.decode() if "reduction" in attributes else "none"
        if node.domain not in ("", "ai.onnx"):
            faults.add(f"{node.domain}.{node.op_type} is no standard operator.")
        elif node.op_type not in supported:
            faults.add(f"{node.op_type} is not in the list of TensorRT's operators.")
        elif node.op_type in refused and reduction != "none":
            faults.add(f"{node.op_type} with reduction {reduction}: {refused[node.op_type]}.")
        elif node.op_type == "ScatterND" and reduction != "none":
            faults.add(f"ScatterND with reduction {reduction} is not supported.")
        elif node.op_type == "MaxPool" and len(node.output) > 1 and node.output[1]:
            faults.add("MaxPool with indices is not supported.")
    return sorted(faults)


def nodes(graph: Any) -> Iterator[Any]:
    """All nodes of an ``onnx.GraphProto``, those of bodies of loops included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes(attribute.g)

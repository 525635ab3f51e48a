"""Export a trained detector: ``bevlab export CHECKPOINT [--format FORMAT]``."""

import errno
import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Literal

import tyro

from bev.bounds import Count, Positive
from bev.data.settings import DataChoice
from bev.errors import ConfigError
from bev.lab.deploy.settings import GraphSettings, Int8Settings
from bev.options import parse

_SUFFIX = {
    "safetensors": ".safetensors", "onnx": ".onnx", "torch-export": ".pt2", "openvino": ".xml",
}  # fmt: skip


@dataclass(frozen=True)
class Command:
    """Write the (averaged) weights of a checkpoint and its config to one file, or its graph.

    A safetensors file can be used wherever a checkpoint can, except to resume training: for
    evaluation, pictures, --train.init.weights, and bev.training.checkpoint.load_checkpoint in your
    own code. It contains no optimiser state. Folders of runs, workers and image cache in its config
    are at their defaults. The other formats are graphs for other runtimes (docs/export.md).

    Attributes:
        checkpoint: checkpoint of a run.
        out: output file; defaults to <checkpoint>.safetensors, .onnx, .pt2 or .xml in the same
            folder.
        format: format of the file.
        half: half precision. Kernels of safetensors are written so, for half the size, and computed
            in float32; so are the weights of an OpenVINO graph, which its device computes as it
            likes; an ONNX graph is computed in half precision up to its maps.
        rig: rig.yaml with the calibration of a graph; by default that of the first validation
            frame of the data.
        int8: quantise the graph to INT8 (docs/export.md).
        int8_frames: training frames on which the ranges of activations are measured.
        int8_tolerance: greatest root mean square change of scores; layers that change them most
            are kept in float until it is met.
        score: evaluate the written graph on the validation split, mAP and NDS.
        graph: choices of the graph.
        data: location of the data to write into its config.
    """

    checkpoint: tyro.conf.Positional[Path]
    out: Path | None = None
    format: Literal["safetensors", "onnx", "torch-export", "openvino"] = "safetensors"
    half: bool = False
    rig: Path | None = None
    int8: bool = False
    int8_frames: Count = Int8Settings.frames
    int8_tolerance: Positive = Int8Settings.tolerance
    score: bool = False
    graph: tyro.conf.OmitArgPrefixes[GraphSettings] = field(default_factory=GraphSettings)
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)
    source = command.checkpoint
    out = command.out or source.with_suffix(_SUFFIX[command.format])
    int8 = Int8Settings(command.int8_frames, command.int8_tolerance)
    if not command.int8 and int8 != Int8Settings():
        raise ConfigError(
            "--int8-frames and --int8-tolerance are choices of --int8; add it, or omit them."
        )
    if command.format == "safetensors":
        chosen = command.rig is not None or command.graph != GraphSettings()
        if chosen or command.int8 or command.score:
            raise ConfigError(
                "--rig, --calibration, --pooling, --decode, --single-pass, --int8 and --score are"
                " choices of a graph; set --format onnx, torch-export or openvino."
            )
        from bev.training.checkpoint import export_weights

        _make_place(out)
        size = export_weights(source, out, command.half, command.data)
        print(f"{out} is written, {size / 2**20:.1f} MiB")
        return
    if command.half and command.int8:
        raise ConfigError("--half and --int8 exclude each other; omit one.")
    if out.suffix != _SUFFIX[command.format]:
        raise ConfigError(f"--out {out} must end in {_SUFFIX[command.format]}.")
    from bev.lab.deploy.command import export_graph

    _make_place(out)
    export_graph(
        source,
        out,
        command.format,
        command.rig,
        command.graph,
        command.data,
        precision="int8" if command.int8 else "fp16" if command.half else "float32",
        int8=int8,
        score=command.score,
        report=partial(print, flush=True),
    )


def _make_place(out: Path) -> None:
    """Create the folder of the output, and check that a file can be written there.

    Raises:
        ConfigError: if not.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise ConfigError(
            f"--out {out} cannot be written ({error.strerror}); choose another place."
        ) from error

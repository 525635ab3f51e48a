"""Export a trained detector as safetensors with its config: ``bevlab export CHECKPOINT``."""

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bev.data.settings import DataChoice
from bev.options import parse


@dataclass(frozen=True)
class Command:
    """Write the (averaged) weights of a checkpoint and its config to one file.

    The file can be used wherever a checkpoint can, except to resume training: for evaluation,
    pictures, --train.init.weights, and bev.training.checkpoint.load_checkpoint in your own code. It
    contains no optimiser state. Folders of runs, workers and image cache in its config are at their
    defaults.

    Attributes:
        checkpoint: checkpoint of a run.
        out: output file; defaults to <checkpoint>.safetensors in the same folder.
        half: write kernels and matrices in half precision, for half the size; they are computed in
            float32.
        data: location of the data to write into its config.
    """

    checkpoint: tyro.conf.Positional[Path]
    out: Path | None = None
    half: bool = False
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)

    from bev.training.checkpoint import export_weights

    out = command.out or command.checkpoint.with_suffix(".safetensors")
    size = export_weights(command.checkpoint, out, command.half, command.data)
    print(f"{out} is written, {size / 2**20:.1f} MiB")

"""Export a trained detector as safetensors with its config: ``bevlab export CHECKPOINT``."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bev.options import parse


@dataclass(frozen=True)
class Command:
    """Write the (averaged) weights of a checkpoint and its config to one file.

    The file can be used wherever a checkpoint can, except to resume training: for evaluation,
    pictures, --train.init.weights, and bev.training.checkpoint.load_checkpoint in your own code. It
    contains no optimiser state.

    Attributes:
        checkpoint: checkpoint of a run.
        out: output file; defaults to <checkpoint>.safetensors in the same folder.
    """

    checkpoint: tyro.conf.Positional[Path]
    out: Path | None = None


def main(arguments: list[str], prog: str) -> None:
    command = parse(Command, arguments, prog)

    from bev.training.checkpoint import export_weights

    out = command.out or command.checkpoint.with_suffix(".safetensors")
    size = export_weights(command.checkpoint, out)
    print(f"{out} is written, {size / 2**20:.1f} MiB")

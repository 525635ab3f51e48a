"""A run's trained detector as safetensors that carry their config: ``bevlab export CHECKPOINT``."""

from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Command:
    """Write the weights of a checkpoint (the averaged ones) and their config to one file.

    What reads a checkpoint reads it as well: evaluation, pictures, --train.init.weights, and
    bev.training.checkpoint.load_checkpoint in a program of your own. It holds no optimiser state.

    Attributes:
        checkpoint: of a run.
        out: the file; empty for <checkpoint>.safetensors beside it.
    """

    checkpoint: tyro.conf.Positional[Path]
    out: Path | None = None


def main(arguments: list[str], prog: str) -> None:
    command = tyro.cli(Command, args=arguments, prog=prog)

    from bev.training.checkpoint import export_weights

    out = command.out or command.checkpoint.with_suffix(".safetensors")
    size = export_weights(command.checkpoint, out)
    print(f"{out} is written, {size / 2**20:.1f} MiB")

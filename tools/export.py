"""A run's trained detector as safetensors that carry their config.

python tools/export.py runs/lss_r50/NAME/checkpoints/best.ckpt [--out lss_r50.safetensors]
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from bev.errors import run_command
from bev.training.checkpoint.loading import export_weights


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


def main() -> None:
    command = tyro.cli(Command)
    out = command.out or command.checkpoint.with_suffix(".safetensors")
    size = export_weights(command.checkpoint, out)
    print(f"{out} is written, {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    run_command(main)

"""Records in a run folder: completion, the checkpoint to resume from, and the cost of the run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from bev.data.dataset import KeyFrames
from bev.errors import CheckpointError, ConfigError
from bev.files import replacing
from bev.models import Detector
from bev.plain_json import read_json
from bev.serialization import from_plain
from bev.training.checkpoint.loading import read_checkpoint
from bev.training.settings import TrainConfig

RECORD = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """Cost of a finished run.

    Attributes:
        steps: optimiser steps of all parts of the run.
        training_minutes: duration of all parts, without validation.
        parameters: number of parameters of the detector.
        flops: floating-point operations of the forward pass of one sample, see :func:`count_flops`.
        peak_memory: bytes, of process 0 in the last part of the run, see
            ``bev.machine.peak_memory``.
        device: name of the device.
        processes: number of processes on all machines.
    """

    steps: int
    training_minutes: float
    parameters: int
    flops: int
    peak_memory: int
    device: str
    processes: int

    def write(self, folder: Path) -> Path:
        """Write ``run.json`` to the run folder; the last file of a run, which marks completion."""
        path = folder / RECORD
        with replacing(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """Read the record of a finished run.

        Raises:
            ConfigError: if it is damaged.
        """
        path = folder / RECORD
        remedy = "delete it, and resume the run (--resume auto) to write it again."
        return read_json(path, lambda x: from_plain(cls, x, str(path)), ConfigError, remedy)


@torch.no_grad()
def count_flops(model: Detector, data: KeyFrames) -> int:
    """Count the floating-point operations of the forward pass of one sample.

    A multiplication with an addition counts as two. Torch counts matrix products and convolutions
    only; sums, norms, activations, resampling and the voxel pooling are not counted.
    """
    batch = data[0].to(next(model.parameters()).device)
    training = model.training
    model.eval()
    with FlopCounterMode(display=False) as counter:
        model(batch)
    model.train(training)
    return counter.get_total_flops()


def is_finished(folder: Path) -> bool:
    """Return whether the run in a folder is finished."""
    return (folder / RECORD).is_file()


def last_checkpoint(folder: Path) -> Path | None:
    """Checkpoint from which the run in a folder can resume; None if there is none yet."""
    path = folder / "checkpoints" / "last.ckpt"
    return path if path.is_file() else None


def asks_for_more(folder: Path, config: TrainConfig) -> bool:
    """Return whether settings make the finished run in a folder longer than it is.

    Args:
        folder: folder of a finished run.
        config: settings to continue it with; its epochs, steps and minutes are compared with those
            of the last checkpoint.

    Raises:
        CheckpointError: if the last checkpoint is damaged.
    """
    last = last_checkpoint(folder)
    if last is None:  # deleted, e.g. to save space
        return False
    content = read_checkpoint(last)
    try:
        done, callbacks = content.get("KeyFrameData", {"epoch": 0}), content.get("callbacks", {})
        timer = callbacks.get("TimeLimit", {}).get("time_elapsed", {})
        epoch, step, seconds = done["epoch"], content["global_step"], timer.get("train", 0.0)
        return (
            epoch < config.epochs
            and (config.max_steps < 0 or step < config.max_steps)
            and (config.max_minutes <= 0 or seconds < 60 * config.max_minutes)
        )
    except (LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"Checkpoint {last} lacks the position of its run ({type(error).__name__}: {error}), so"
            " the run cannot continue from it; start a new one from its weights"
            " (--train.init.weights)."
        ) from error

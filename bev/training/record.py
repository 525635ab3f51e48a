"""What a run folder says of its run: whether it is finished, where to go on, what it cost."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from bev.config import Experiment
from bev.data.dataset import KeyFrames
from bev.errors import TrainingError
from bev.files import replacing
from bev.models import Detector

RECORD = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """What a finished run cost.

    Attributes:
        steps: optimiser steps, of all parts of the run.
        training_minutes: of all parts, without validation.
        parameters: of the detector.
        flops: of one sample's forward pass, see :func:`count_flops`.
        peak_memory: bytes, of process 0 in the last part, see ``bev.machine.peak_memory``.
        device: what it ran on.
        processes: over all machines.
    """

    steps: int
    training_minutes: float
    parameters: int
    flops: int
    peak_memory: int
    device: str
    processes: int

    def write(self, folder: Path) -> Path:
        """Write ``run.json`` into the run folder: the last file of a run, so it says "finished"."""
        path = folder / RECORD
        with replacing(path) as partial:
            partial.write_text(json.dumps(asdict(self), indent=2) + "\n")
        return path

    @classmethod
    def read(cls, folder: Path) -> "RunRecord":
        """The record of a finished run."""
        return cls(**json.loads((folder / RECORD).read_text()))


@torch.no_grad()
def count_flops(model: Detector, data: KeyFrames) -> int:
    """Floating-point operations of one sample's forward pass, a multiplication and addition as two.

    Torch counts matrix products and convolutions. Sums, norms, activations, resampling and the
    voxel pooling count as nothing.
    """
    batch = data[0].to(next(model.parameters()).device)
    training = model.training
    model.eval()
    with FlopCounterMode(display=False) as counter:
        model(batch)
    model.train(training)
    return counter.get_total_flops()


def named_folder(config: Experiment) -> Path:
    """The run folder of a config that names its run.

    Raises:
        TrainingError: where it does not.
    """
    if not config.train.run_name:
        raise TrainingError("--resume auto needs to know the run: set --train.run-name.")
    return config.train.runs / config.name / config.train.run_name


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder came to its end."""
    return (folder / RECORD).is_file()


def last_checkpoint(folder: Path) -> Path | None:
    """Where the run in this folder can go on; None where it has not got that far."""
    path = folder / "checkpoints" / "last.ckpt"
    return path if path.is_file() else None

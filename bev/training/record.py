"""Records of a run in its folder: whether it is finished, where to go on, what it cost."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from bev.data.dataset import KeyFrames
from bev.files import replacing
from bev.models import Detector

RECORD = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """The cost of a finished run.

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


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder came to its end."""
    return (folder / RECORD).is_file()


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint that the run in this folder can go on from; None where there is none yet."""
    path = folder / "checkpoints" / "last.ckpt"
    return path if path.is_file() else None

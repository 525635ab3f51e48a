"""Metrics of a checkpoint on a split, or the official ones of a nuScenes results file.

bevlab evaluate CHECKPOINT [--split mini_val]
bevlab evaluate results_nusc.json --data.root DIR --data.version V --split SPLIT
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from bev.compatibility import current_flags
from bev.data.settings import DataChoice
from bev.errors import ConfigError
from bev.evaluation.robustness import Perturbation


@dataclass(frozen=True)
class Command:
    """Evaluate a split: boxes of nuScenes by its official metrics, each head by its own.

    Attributes:
        source: a checkpoint of a run, or a submission (.json).
        split: official or custom split; empty for the config's validation split.
        out: where the results go; empty for evaluation/<split>_<checkpoint>[_<what is unusual>]/ of
            the run, or beside the results file.
        flip_tta: detect in each scene and in its mirror image, and average (twice the time).
        blank: show the model grey images, to measure what it knows without seeing.
        within: metres; boxes farther from the ego car do not count, nor those beyond their class's
            official range.
        displacement: numbers of key frames; for each, the error (m/s) of velocities computed from
            an object's detected positions that far apart, see ``bev.lab.analysis.displacement``.
        rig: cameras left out and calibrations made wrong, to measure how the model bears it.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    out: Path | None = None
    flip_tta: bool = False
    blank: bool = False
    within: float = math.inf
    displacement: tuple[int, ...] = ()
    rig: tyro.conf.OmitArgPrefixes[Perturbation] = field(default_factory=Perturbation)
    data: DataChoice = field(default_factory=DataChoice)

    def __post_init__(self) -> None:
        if any(back < 1 for back in self.displacement):
            raise ConfigError(f"--displacement {self.displacement}: give key frames from 1 on.")


def main(arguments: list[str], prog: str) -> None:
    command = tyro.cli(Command, args=current_flags(arguments), prog=prog)

    from bev.cli.evaluate_run import evaluate_checkpoint, score_results

    shared = (
        command.source,
        command.data,
        command.split,
        command.out,
        command.within,
        command.displacement,
    )
    if command.source.suffix == ".json":
        score_results(*shared)
    else:
        evaluate_checkpoint(*shared, command.rig, command.flip_tta, command.blank)

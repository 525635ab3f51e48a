"""Compute metrics of a checkpoint on a split, or of a nuScenes results file.

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
    """Evaluate a split: nuScenes boxes by the official metrics, other heads by their own metrics.

    Attributes:
        source: checkpoint of a run, or results file of a submission (.json).
        split: official or custom split; empty for the validation split of the config.
        out: output folder; defaults to evaluation/<split>_<checkpoint>[_<unusual settings>]/ of
            the run, or to the folder of the results file.
        flip_tta: average predictions over each scene and its mirror image (flip test-time
            augmentation; takes twice the time).
        opencv_figures: evaluate segmented layers of boxes also against polygons filled by OpenCV,
            as published by Lift-Splat-Shoot; these figures are named ``..._opencv``.
        blank: feed grey images, to measure what the model predicts without image content.
        within: evaluation range, metres; boxes farther from the ego vehicle are ignored, as are
            boxes beyond the official range of their class.
        displacement: numbers of key frames; for each, report the error (m/s) of velocities
            computed from detected positions of an object that many key frames apart, see
            ``bev.lab.analysis.displacement``.
        rig: perturbation of the rig (missing cameras, wrong calibrations), to measure robustness.
        data: location of the data, if other than in the config.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    out: Path | None = None
    flip_tta: bool = False
    opencv_figures: bool = False
    blank: bool = False
    within: float = math.inf
    displacement: tuple[int, ...] = ()
    rig: tyro.conf.OmitArgPrefixes[Perturbation] = field(default_factory=Perturbation)
    data: DataChoice = field(default_factory=DataChoice)

    def __post_init__(self) -> None:
        if any(back < 1 for back in self.displacement):
            raise ConfigError(
                f"--displacement {self.displacement}: numbers of key frames must be at least 1."
            )


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
        evaluate_checkpoint(
            *shared, command.rig, command.flip_tta, command.blank, command.opencv_figures
        )

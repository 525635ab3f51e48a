"""``bevlab evaluate CHECKPOINT``."""

import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from bev.bounds import Count, Natural
from bev.cli.evaluate.results import (
    Range,
    begin,
    finish,
    with_displacement,
)
from bev.data.checks.crop import crop_warnings
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.source import NuScenes, NuScenesConfig
from bev.data.settings import DataChoice
from bev.errors import ConfigError, NoGroundTruthError, print_warnings
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.circumstances import circumstances, folder_name
from bev.evaluation.evaluation import evaluators
from bev.evaluation.nuscenes.official import SUBMISSION, counted_boxes
from bev.evaluation.robustness.perturbation import Perturbation
from bev.evaluation.table import Result
from bev.inference.prepare import prepare_for_inference
from bev.machine import rank
from bev.models import SegmentationHeadConfig
from bev.options import parse
from bev.training.checkpoint import home_of, load_checkpoint
from bev.training.distributed.evaluation import connected, predict_split
from bev.training.settings_check import check_flip_tta
from bev.visualization.report.evaluation import breakdown_of, with_boxes, with_config


@dataclass(frozen=True)
class Command:
    """Evaluate a split: nuScenes boxes by the official metrics, other heads by their own metrics.

    Attributes:
        source: checkpoint of a run, or the name of a shipped model (see `bevlab models`).
        split: official or custom split; empty for the validation split of the config.
        out: output folder; defaults to evaluation/<split>_<checkpoint>[_<unusual settings>]/ of
            the run.
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
        pictures: number of best and of worst samples with pictures on the report page; 0 for none.
        every: evaluate one of every so many samples of the split.
        devices: processes on this machine, each of which predicts a part of the split; 0 for all
            GPUs, or 1 process without GPUs. torchrun and srun set their own number.
        rig: perturbation of the rig (missing cameras, wrong calibrations, late or corrupted
            images), to measure robustness; `bevlab robustness` measures all of them.
        data: location of the data, if other than in the config.
    """

    source: tyro.conf.Positional[Path]
    split: str = ""
    out: Path | None = None
    flip_tta: bool = False
    opencv_figures: bool = False
    blank: bool = False
    within: Range = math.inf
    displacement: tuple[Count, ...] = ()
    pictures: Natural = 24
    every: Count = 1
    devices: Natural = 1
    rig: tyro.conf.OmitArgPrefixes[Perturbation] = field(default_factory=Perturbation)
    data: DataChoice = field(default_factory=DataChoice)


def main(arguments: list[str], prog: str) -> None:
    evaluate(parse(Command, arguments, prog))


def evaluate(command: Command) -> Result:
    """Run the detector of a checkpoint on a split, and write, score and report its predictions.

    With several processes, the result is empty on all but the first.
    """
    source, rig, within = command.source, command.rig, command.within
    config, model = load_checkpoint(source, flip_tta=command.flip_tta)
    if command.opencv_figures:
        if not (
            isinstance(head := model.config.segmentation, SegmentationHeadConfig) and head.layers
        ):
            raise ConfigError(
                f"--opencv-figures applies to BEV segmentation, and {source} has none; omit it."
            )
        head = replace(head, opencv_figures=True)
        model.config = replace(model.config, segmentation=head)
        config = replace(config, model=replace(config.model, segmentation=head))
    data = command.data.apply(config.data)
    check_flip_tta(data.reference, {"--flip-tta": model.config.flip_tta})
    split = command.split or data.splits[1]
    notices = circumstances(
        config.data,
        data,
        rig,
        flip_tta=command.flip_tta,
        blank=command.blank,
        within=within,
        every=command.every,
    )
    folder = command.out or home_of(source) / "evaluation" / folder_name(split, source, notices)
    opened = data.source.open(rig.rigged(data))
    place = EvaluatedSplit(opened, split, folder, within, command.every)
    ground_truth = place.frames()
    frames = rig.perturbed(ground_truth, data, split)
    if rank() == 0:
        print_warnings(crop_warnings(frames, data))
    samples = KeyFrames(frames, data, training=False, corruption=rig.image_corruption)
    evaluated = evaluators(config.model, data)
    boxes = any(one.of_boxes for one in evaluated.values())
    if (math.isfinite(within) or command.displacement) and not boxes:
        raise ConfigError(
            "--within and --displacement apply to boxes, and this model detects none; omit them."
        )
    if command.displacement and not isinstance(data.source, NuScenesConfig):
        raise ConfigError("--displacement needs data in nuScenes format; omit it.")
    for one in evaluated.values():
        with suppress(NoGroundTruthError):  # predictions are written all the same
            one.check(ground_truth, split)
    processes = connected(command.devices)
    prepare_for_inference(model.to(processes.device), heads=evaluated, keep_memory=True)
    evaluation = predict_split(model, samples, processes, command.blank)
    if evaluation is None:
        return Result({})
    fault = None
    try:
        result = evaluation.compute(place)
    except Exception as error:  # raised again once the scores of the other heads are reported
        result, fault = evaluation.result, error
    scored = any(one.of_boxes and n in result.heads for n, one in evaluation.evaluators.items())
    if command.displacement and scored and isinstance(place.source, NuScenes):
        index = place.source.index
        counted = counted_boxes(folder / SUBMISSION, index, place.samples, within)
        result = with_displacement(result, counted, index, command.displacement)
    page = begin(folder, source, split, notices, result)
    shown = place
    if data.reference != "ego":  # the frame of the evaluation's boxes
        in_ego = rig.rigged(replace(data, reference="ego"))
        shown = replace(place, source=data.source.open(in_ego))
    breakdown = breakdown_of(evaluation.evaluators, result, shown)
    frames, space = shown.source.frames(split), config.model.label_space
    finish(
        folder, with_boxes(with_config(page, config), breakdown, frames, space, command.pictures)
    )
    if fault is not None:
        raise fault
    return result

"""Implementation of ``bevlab evaluate``; arguments are the options of the command."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from bev.data.checks.crop import warn_of_crops
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.source import NuScenes, NuScenesConfig
from bev.data.settings import DataChoice, DataConfig
from bev.errors import ConfigError, NoGroundTruthError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.circumstances import circumstances, folder_name, range_limit
from bev.evaluation.evaluation import Result, evaluators
from bev.evaluation.nuscenes.official import SUBMISSION, counted_boxes, evaluate_submission
from bev.evaluation.predict import predict
from bev.evaluation.robustness import Perturbation
from bev.evaluation.scores import Scores
from bev.lab.analysis.displacement import displacement_figures
from bev.machine import default_device
from bev.models import SegmentationHeadConfig
from bev.serialization import to_plain
from bev.training.checkpoint import home_of, load_checkpoint
from bev.training.datamodule import make_loader
from bev.training.settings_check import check_flip_tta
from bev.training.workers import ending_workers
from bev.visualization.report.curves import draw_evaluation
from bev.visualization.report.page import write_page

_NO_DISPLACEMENT = "--displacement needs data in nuScenes format; omit it."


def score_results(
    source: Path,
    data: DataChoice,
    split: str,
    out: Path | None,
    within: float,
    displacement: Sequence[int],
) -> None:
    """Compute the official metrics of a results file."""
    if not (data.root and data.version and split):
        raise ConfigError(
            f"Results file {source} does not name its data:"
            " give --data.root, --data.version and --split."
        )
    notices = range_limit(within)
    folder = out or source.parent / "_".join(notices).replace(" ", "_")
    nuscenes = NuScenesConfig()
    opened = nuscenes.open(DataConfig(nuscenes, root=data.root, version=data.version))
    place = EvaluatedSplit(opened, split, folder, within)
    try:
        metrics = evaluate_submission(source, opened.index, split, folder, within)
    except NoGroundTruthError as error:
        print(error)
        return
    result = _with_displacement(Result({"head": metrics.scores()}), source, place, displacement)
    _report(result, source, split, folder, " ".join(notices.values()))


def evaluate_checkpoint(
    source: Path,
    choice: DataChoice,
    split: str,
    out: Path | None,
    within: float,
    displacement: Sequence[int],
    rig: Perturbation,
    flip_tta: bool,
    blank: bool,
    opencv_figures: bool = False,
) -> None:
    """Run the detector of a checkpoint on a split and compute metrics of its predictions."""
    config, model = load_checkpoint(source, flip_tta=flip_tta)
    if opencv_figures:
        if not (
            isinstance(head := model.config.segmentation, SegmentationHeadConfig) and head.layers
        ):
            raise ConfigError(
                f"--opencv-figures applies to BEV segmentation, and {source} has none; omit it."
            )
        head = replace(head, opencv_figures=True)
        model.config = replace(model.config, segmentation=head)
        config = replace(config, model=replace(config.model, segmentation=head))
    data = choice.apply(config.data)
    check_flip_tta(data.reference, {"no --flip-tta": config.model.flip_tta})
    split = split or data.splits[1]
    notices = circumstances(config.data, data, rig, flip_tta=flip_tta, blank=blank, within=within)
    folder = out or home_of(source) / "evaluation" / folder_name(split, source, notices)
    device = default_device()
    frames = rig.frames(data, split)
    warn_of_crops(frames, data)
    loader = make_loader(KeyFrames(frames, data, training=False))
    evaluated = evaluators(config.model, data).values()
    boxes = any(one.of_boxes for one in evaluated)
    if (math.isfinite(within) or displacement) and not boxes:
        raise ConfigError(
            "--within and --displacement apply to boxes, and this model detects none; omit them."
        )
    if displacement and not isinstance(data.source, NuScenesConfig):
        raise ConfigError(_NO_DISPLACEMENT)
    with ending_workers():
        evaluation = predict(model.to(device), loader, device, blank)
    place = EvaluatedSplit(data.source.open(rig.rigged(data)), split, folder, within)
    fault = None
    try:
        result = evaluation.compute(place)
    except Exception as error:  # raised again once the scores of the other heads are reported
        result, fault = evaluation.result, error
    if not result.missing:
        result = _with_displacement(result, folder / SUBMISSION, place, displacement)
    text = yaml.safe_dump(to_plain(config), sort_keys=False)
    _report(result, source, split, folder, " ".join(notices.values()), text)
    if fault is not None:
        raise fault


def _with_displacement(
    result: Result, submission: Path, place: EvaluatedSplit, displacement: Sequence[int]
) -> Result:
    """Add velocity errors by displacement to the result if ``displacement`` is not empty."""
    if not displacement:
        return result
    if not isinstance(place.source, NuScenes):
        raise ConfigError(_NO_DISPLACEMENT)
    index = place.source.index
    boxes = counted_boxes(submission, index, place.name, place.within)
    figures = displacement_figures(boxes, index, displacement)
    return Result({**result.heads, "displacement": Scores(figures)})


def _report(
    result: Result, source: Path, split: str, folder: Path, notice: str, config_text: str = ""
) -> None:
    """Write the report page and print the table of metrics."""
    page = write_page(
        folder,
        title=f"{source.stem} on {split}",
        subtitle=str(source),
        notice=notice,
        result=result,
        curves=draw_evaluation(folder),
        config_text=config_text,
    )
    print(f"{split}\n{result.text()}\n\nwritten to {page.parent}")

"""The work of ``bevlab evaluate``; arguments are the options of the command."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from bev.data.dataset import KeyFrames
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_cache import open_index
from bev.data.settings import DataChoice
from bev.errors import ConfigError
from bev.evaluation.circumstances import circumstances, folder_name, range_limit
from bev.evaluation.evaluation import Result
from bev.evaluation.official import counted_boxes, evaluate_submission
from bev.evaluation.predict import predict
from bev.evaluation.robustness import Disturbance
from bev.lab.analysis.displacement import displacement_figures
from bev.machine import default_device
from bev.serialization import to_plain
from bev.training.checkpoint import home_of, load_checkpoint
from bev.training.datamodule import ending_workers, make_loader
from bev.training.settings_check import check_mirror
from bev.visualization.report.curves import draw_evaluation
from bev.visualization.report.page import write_page


def score_results(
    source: Path,
    data: DataChoice,
    split: str,
    out: Path | None,
    within: float,
    displacement: Sequence[int],
) -> None:
    """Score a submission file."""
    if not (data.root and data.version and split):
        raise ConfigError(
            "A results file does not name its data: give --data.root, --data.version and --split."
        )
    notices = range_limit(within)
    folder = out or source.parent / "_".join(notices).replace(" ", "_")
    index = open_index(data.root, data.version)
    result = Result(evaluate_submission(source, index, split, folder, within), {})
    result = _with_displacement(result, source, index, split, within, displacement)
    _report(result, source, split, folder, " ".join(notices.values()))


def evaluate_checkpoint(
    source: Path,
    choice: DataChoice,
    split: str,
    out: Path | None,
    within: float,
    displacement: Sequence[int],
    rig: Disturbance,
    mirror: bool,
    blank: bool,
) -> None:
    """Run a checkpoint's detector over a split, and score what it predicts."""
    config, model = load_checkpoint(source, test_mirror=mirror)
    if (math.isfinite(within) or displacement) and not config.model.detects:
        raise ConfigError(
            "--within and --displacement are of boxes, and this model detects none; leave them out."
        )
    data = choice.apply(config.data)
    check_mirror(data.reference, {"no --mirror": config.model.test_mirror})
    split = split or data.splits[1]
    notices = circumstances(config.data, data, rig, mirror=mirror, blank=blank, within=within)
    folder = out or home_of(source) / "evaluation" / folder_name(split, source, notices)
    device = default_device()
    loader = make_loader(KeyFrames(rig.frames(data, split), data, training=False))
    with ending_workers():
        found = predict(model.to(device), loader, device, blank)
    index = data.source.open(data).index
    result = found.compute(index, split, folder, within)
    submission = folder / "results_nusc.json"
    result = _with_displacement(result, submission, index, split, within, displacement)
    text = yaml.safe_dump(to_plain(config), sort_keys=False)
    _report(result, source, split, folder, " ".join(notices.values()), text)


def _with_displacement(
    result: Result,
    submission: Path,
    index: Index,
    split: str,
    within: float,
    displacement: Sequence[int],
) -> Result:
    """The result, with errors of velocities by displacement where they are asked for."""
    if not displacement:
        return result
    boxes = counted_boxes(submission, index, split, within)
    figures = displacement_figures(boxes, index, displacement)
    return replace(result, figures=result.figures | figures)


def _report(
    result: Result, source: Path, split: str, folder: Path, notice: str, config_text: str = ""
) -> None:
    """Write the page and print the table."""
    page = write_page(
        folder,
        title=f"{source.stem} on {split}",
        subtitle=str(source),
        notice=notice,
        metrics=result.metrics,
        figures=result.figures,
        note=result.note,
        curves=draw_evaluation(folder) if result.metrics else None,
        config_text=config_text,
    )
    print(f"{split}\n{result.text()}\n\nwritten to {page.parent}")

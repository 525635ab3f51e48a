"""The work of ``bevlab evaluate``, with all that it imports."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from bev.cli.evaluate import Command
from bev.data.dataset import KeyFrames
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.index_cache import open_index
from bev.errors import ConfigError
from bev.evaluation.circumstances import circumstances, folder_name, range_limit
from bev.evaluation.evaluation import Result
from bev.evaluation.official import counted_boxes, evaluate_submission
from bev.evaluation.predict import predict
from bev.lab.analysis.displacement import displacement_figures
from bev.machine import default_device
from bev.serialization import to_plain
from bev.training.checkpoint import home_of, load_checkpoint
from bev.training.datamodule import ending_workers, make_loader
from bev.training.settings_check import check_mirror
from bev.visualization.report.curves import draw_evaluation
from bev.visualization.report.page import write_page


def score_results(command: Command) -> None:
    """Score a submission file."""

    if not (command.data.root and command.data.version and command.split):
        raise ConfigError(
            "A results file does not name its data: give --data.root, --data.version and --split."
        )
    notices = range_limit(command.within)
    folder = command.out or command.source.parent / "_".join(notices).replace(" ", "_")
    index = open_index(command.data.root, command.data.version)
    metrics = evaluate_submission(command.source, index, command.split, folder, command.within)
    _finish(command, Result(metrics, {}), index, command.split, folder, command.source, notices)


def evaluate_checkpoint(command: Command) -> None:
    """Run a checkpoint's detector over a split, and score what it predicts."""

    config, model = load_checkpoint(command.source, test_mirror=command.mirror)
    if (math.isfinite(command.within) or command.displacement) and not config.model.detects:
        raise ConfigError(
            "--within and --displacement are of boxes, and this model detects none; leave them out."
        )
    data = command.data.apply(config.data)
    check_mirror(data.reference, {"no --mirror": config.model.test_mirror})
    split = command.split or data.splits[1]
    unusual = {"mirror": command.mirror, "blank": command.blank, "within": command.within}
    notices = circumstances(config.data, data, command.rig, **unusual)
    name = folder_name(split, command.source, notices)
    folder = command.out or home_of(command.source) / "evaluation" / name
    device = default_device()
    loader = make_loader(KeyFrames(command.rig.frames(data, split), data, training=False))
    with ending_workers():
        found = predict(model.to(device), loader, device, command.blank)
    index, file = data.open(), folder / "results_nusc.json"
    result = found.compute(index, split, folder, command.within)
    text = yaml.safe_dump(to_plain(config), sort_keys=False)
    _finish(command, result, index, split, folder, file, notices, text)


def _finish(
    command: Command,
    result: Result,
    index: Index,
    split: str,
    folder: Path,
    file: Path,
    notices: Mapping[str, str],
    config_text: str = "",
) -> None:
    """Add what was asked for beside the metrics, write the page, print the table."""

    if command.displacement:
        boxes = counted_boxes(file, index, split, command.within)
        figures = displacement_figures(boxes, index, command.displacement)
        result = replace(result, figures=result.figures | figures)
    page = write_page(
        folder,
        title=f"{command.source.stem} on {split}",
        subtitle=str(command.source),
        notice=" ".join(notices.values()),
        metrics=result.metrics,
        figures=result.figures,
        note=result.note,
        curves=draw_evaluation(folder) if result.metrics else None,
        config_text=config_text,
    )
    print(f"{split}\n{result.text()}\n\nwritten to {page.parent}")

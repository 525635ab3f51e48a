"""Runs and evaluations, read from their folders and laid side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from bev.config import Experiment, load_file
from bev.data.nuscenes.index_cache import open_index
from bev.data.settings import DataChoice
from bev.errors import ConfigError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.bootstrap import Score, draws
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.breakdown.breakdown import break_down
from bev.evaluation.breakdown.comparison import box_figures, drawn
from bev.evaluation.evaluation import evaluators
from bev.evaluation.nuscenes.matched import matched_boxes
from bev.evaluation.nuscenes.official import SUBMISSION, counted_boxes
from bev.evaluation.scores import SUMMARY
from bev.paths import file_name, short_names
from bev.plain_json import read_json
from bev.serialization import to_plain
from bev.visualization.report.comparison import Compared, write_comparison
from bev.visualization.report.provenance import provenance
from bev.visualization.report.training import training_curves

Unit = Literal["samples", "scenes"]
Parts = list[tuple[tuple[str, ...], Score]]


@dataclass(frozen=True)
class _Read:
    """An evaluation read from its folder.

    Attributes:
        figures: its headline figures.
        parts: names and functions of the figures that can be resampled.
        tokens: tokens of the samples; empty if there is no such figure.
        matched: its boxes, if it has any.
        run: folder of its run, if it is of one.
        config: config of the run.
    """

    figures: dict[str, float]
    parts: Parts
    tokens: tuple[str, ...]
    matched: MatchedBoxes | None
    run: Path | None = None
    config: Experiment | None = None


def compare(
    sources: Sequence[Path],
    out: Path,
    *,
    split: str = "",
    unit: Unit = "samples",
    replicates: int = 200,
    data: DataChoice | None = None,
    formats: Sequence[str] = (),
) -> list[Path]:
    """Write the page that compares evaluations with the first, and figures; returns their paths.

    Args:
        sources: run folders, folders of evaluations, or nuScenes results files. A single one has
            figures only.
        out: folder of the page.
        split: split of the evaluations; empty for the validation split of a run's config.
        unit: unit that the bootstrap draws.
        replicates: number of bootstrap draws.
        data: location of the data, if other than in the configs.
        formats: suffixes of the figures, "svg" and "pdf".

    Raises:
        ConfigError: if a source is neither of these.
    """
    chosen = data or DataChoice()
    compared = [
        _compared(name, _read(source, split, chosen), unit, replicates)
        for name, source in zip(short_names(sources), sources, strict=True)
    ]
    note = (
        f"Differences to the first, with 95 % intervals of a paired bootstrap over {unit}"
        f" ({replicates} draws). Bold: the interval excludes 0. It covers the choice of {unit},"
        " and not the variation over seeds."
    )
    pages = [write_comparison(out, compared, note, provenance())] if len(compared) > 1 else []
    if not formats:
        return pages
    from bev.visualization.report.figures import write_figures

    return pages + write_figures(out, compared, formats)


def _compared(name: str, read: _Read, unit: Unit, replicates: int) -> Compared:
    groups = np.arange(len(read.tokens))
    if unit == "scenes" and read.matched is not None:
        groups = np.unique(read.matched.scenes, return_inverse=True)[1]
    scored = drawn(read.tokens, read.parts, draws(groups, replicates)) if read.parts else None
    return Compared(
        name,
        read.figures,
        scored,
        None if read.matched is None else break_down(read.matched),
        [] if read.run is None else training_curves(read.run),
        {} if read.config is None else to_plain(read.config),
    )


def _read(source: Path, split: str, data: DataChoice) -> _Read:
    folder = source.parent if source.suffix == ".json" else source
    for run in (folder, folder.parent.parent):
        if (run / "config.yaml").is_file():
            return _of_run(run, None if run == folder else folder, split, data)
    if not (folder / SUBMISSION).is_file():
        raise ConfigError(
            f"{source} is neither the folder of a run (it has no config.yaml) nor that of an"
            f" evaluation (it has no {SUBMISSION}); name one of the two."
        )
    if not (data.root and data.version and split):
        raise ConfigError(
            f"{source} does not name its data: give --data.root, --data.version and --split."
        )
    path = source if source.suffix == ".json" else folder / SUBMISSION
    index = open_index(data.root, data.version)
    matched = matched_boxes(counted_boxes(path, index, split, _within(folder)), index)
    names, score = box_figures(matched.matches)
    values = score(np.ones(len(matched.matches.tokens), int))
    figures = {n: v for n, v in zip(names, values, strict=True) if " " not in n}
    return _Read(figures, [(names, score)], matched.matches.tokens, matched)


def _of_run(run: Path, folder: Path | None, split: str, data: DataChoice) -> _Read:
    config = load_file(run / "config.yaml")
    settings = replace(data.apply(config.data), reference="ego")
    name = split or settings.splits[1]
    folder = folder or run / "evaluation" / file_name(name)
    if not folder.is_dir():
        raise ConfigError(
            f"Run {run} has no evaluation of split {name!r} ({folder}); evaluate it, or name the"
            " folder of an evaluation."
        )
    place = EvaluatedSplit(settings.source.open(settings), name, folder, _within(folder))
    figures: dict[str, float] = {}
    parts: Parts = []
    tokens: tuple[str, ...] = ()
    matched: MatchedBoxes | None = None
    for one in evaluators(config.model, settings).values():
        scores = one.read(folder)
        figures |= scores.figures
        boxes = one.matched(place) if scores.figures else None
        if boxes is not None:
            matched, own = boxes, boxes.matches.tokens
            part = box_figures(boxes.matches)
        elif scores.figures and (resampled := one.resampled(place)) is not None:
            own, part = resampled.tokens, (resampled.names, resampled.score)
        else:
            continue
        if not parts or own == tokens:
            tokens = own
            parts.append(part)
    return _Read(figures, parts, tokens, matched, run, config)


def _within(folder: Path) -> float:
    """Evaluation range of the figures in a folder, metres; infinite if it is not limited."""
    path = folder / SUMMARY
    if not path.is_file():
        return float("inf")

    def limit(summary: dict) -> float:
        if "cfg" in summary:
            return float(max(summary["cfg"]["class_range"].values()))
        return float("inf") if summary.get("within") is None else float(summary["within"])

    return read_json(path, limit, ConfigError, "delete it, and evaluate again.")

"""Parts of a report's content that come from an evaluated config and its frames."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from bev.config import Experiment, load_file, shipped_configs
from bev.data.labels import LabelSpace
from bev.data.source import Frames
from bev.evaluation.base import EvaluatedSplit, Evaluator
from bev.evaluation.breakdown.breakdown import Breakdown, break_down
from bev.evaluation.table import Result
from bev.serialization import to_plain
from bev.visualization.colors import class_color
from bev.visualization.report.mosaics import by_token, sample_mosaics
from bev.visualization.report.page import Page
from bev.visualization.report.pictures import extremes


def breakdown_of(
    evaluators: Mapping[str, Evaluator], result: Result, split: EvaluatedSplit
) -> Breakdown | None:
    """Breakdown of the first head whose boxes have been scored; None if there is none."""
    for name, one in evaluators.items():
        matched = one.matched(split) if name in result.heads else None
        if matched is not None:
            return break_down(matched)
    return None


def with_boxes(
    page: Page, breakdown: Breakdown | None, frames: Frames, space: LabelSpace, pictures: int
) -> Page:
    """Add a breakdown to a page, with pictures of its best and worst samples.

    Args:
        page: the page.
        breakdown: breakdown of the evaluation; the page remains as it is without one.
        frames: key frames of the split; their reference frame is the ego vehicle's.
        space: label space of the boxes.
        pictures: number of best samples with a picture, and of worst ones.
    """
    if breakdown is None:
        return page
    chosen = extremes(breakdown.samples, pictures)
    rows: Sequence[int] = (*chosen.worst, *chosen.best)
    return replace(
        page,
        breakdown=breakdown,
        extremes=chosen,
        mosaics=sample_mosaics(breakdown, rows, by_token(frames), space),
        colors=[class_color(space, label) for label in range(len(space.classes))],
    )


def with_config(page: Page, config: Experiment, text: str = "") -> Page:
    """Add a config to a page, and its differences to the shipped config of its name.

    Args:
        page: the page.
        config: the experiment.
        text: its text as saved; made here if empty.
    """
    plain: dict[str, Any] = to_plain(config)
    shipped = config.name in shipped_configs()
    base = load_file(config.name) if shipped else Experiment()
    name = f"the config {config.name}" if shipped else "the default settings"
    text = text or yaml.safe_dump(plain, sort_keys=False)
    return replace(page, config_text=text, config=plain, base=(name, to_plain(base)))

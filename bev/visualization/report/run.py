"""Report at the end of a run: pictures of a few samples and the HTML page."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.evaluation import evaluators
from bev.paths import file_name
from bev.training.run import FinishedRun
from bev.visualization.canvas import save_png
from bev.visualization.prediction import draw_samples
from bev.visualization.report.curves import draw_evaluation
from bev.visualization.report.evaluation import breakdown_of, with_boxes, with_config
from bev.visualization.report.page import Page, write_page
from bev.visualization.report.pictures import data_uri
from bev.visualization.report.provenance import provenance
from bev.visualization.report.training import training_curves


def report_run(run: FinishedRun) -> Path:
    """Draw samples of a run, and write its ``report.html`` with metrics, charts and config.

    Args:
        run: finished run.
    """
    folder, config = run.folder, run.config
    split = config.data.splits[1]
    evaluated = folder / "evaluation" / file_name(split)
    draw_evaluation(evaluated)
    # Boxes of the evaluation are those of the ego vehicle's frame, whatever the network's is.
    source = config.data.source.open(replace(config.data, reference="ego"))
    heads = evaluators(config.model, config.data)
    breakdown = breakdown_of(heads, run.result, EvaluatedSplit(source, split, evaluated))
    page = Page(
        title=f"{config.name} on {split}",
        subtitle=str(folder),
        result=run.result,
        pictures=[(name, data_uri(sheet)) for name, sheet in save_samples(run).items()],
        training=training_curves(folder),
        provenance=provenance(),
    )
    page = with_config(page, config, (folder / "config.yaml").read_text(encoding="utf-8"))
    pictures = config.train.pictures
    page = with_boxes(page, breakdown, source.frames(split), config.model.label_space, pictures)
    return write_page(folder, page)


def save_samples(run: FinishedRun) -> Mapping[str, np.ndarray]:
    """Draw ``train.pictures`` validation frames to ``pictures/`` in the run folder.

    Returns:
        Pictures by sample token.
    """
    sheets = draw_samples(run.model.eval(), run.frames, run.config, run.config.train.pictures)
    for token, sheet in sheets.items():
        save_png(sheet, run.folder / "pictures" / f"{file_name(token)}.png")
    return sheets

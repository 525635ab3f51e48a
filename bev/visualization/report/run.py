"""Report at the end of a run: pictures of a few samples and the HTML page."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bev.data.dataset import KeyFrames
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.evaluation import evaluators
from bev.paths import file_name
from bev.training.run import FinishedRun
from bev.visualization.canvas import save_png
from bev.visualization.prediction import draw_prediction, spread
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
        pictures=[(name, data_uri(sheet)) for name, sheet in draw_samples(run).items()],
        training=training_curves(folder),
        provenance=provenance(),
    )
    page = with_config(page, config, (folder / "config.yaml").read_text(encoding="utf-8"))
    pictures = config.train.pictures
    page = with_boxes(page, breakdown, source.frames(split), config.model.label_space, pictures)
    return write_page(folder, page)


@torch.no_grad()
def draw_samples(run: FinishedRun) -> Mapping[str, np.ndarray]:
    """Draw ``train.pictures`` validation frames to ``pictures/`` in the run folder.

    Returns:
        Pictures by sample token.
    """
    chosen = spread(run.frames, run.config.train.pictures)
    data = KeyFrames(chosen, run.config.data, training=False)
    model = run.model.eval()
    device = next(model.parameters()).device
    sheets = {}
    for index, frame in enumerate(chosen):
        sheet = draw_prediction(model, frame, data[index].to(device), title=run.config.name)
        save_png(sheet, run.folder / "pictures" / f"{file_name(frame.token)}.png")
        sheets[frame.token] = sheet
    return sheets

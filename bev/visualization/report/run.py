"""Report at the end of a run: pictures of a few samples and the HTML page."""

from pathlib import Path

import torch

from bev.data.dataset import KeyFrames
from bev.paths import file_name
from bev.training.run import FinishedRun
from bev.visualization.canvas import save_png
from bev.visualization.prediction import draw_prediction, spread
from bev.visualization.report.curves import draw_evaluation
from bev.visualization.report.page import write_page


def report_run(run: FinishedRun, notice: str = "") -> Path:
    """Draw samples of a run, and write its ``report.html`` with metrics, curves and config.

    Args:
        run: finished run.
        notice: notice at the top of the page; empty for none.
    """
    folder, config, result = run.folder, run.config, run.result
    split = config.data.splits[1]
    return write_page(
        folder,
        title=f"{config.name} on {split}",
        subtitle=str(folder),
        notice=notice,
        result=result,
        curves=draw_evaluation(folder / "evaluation" / file_name(split)),
        pictures=draw_samples(run),
        config_text=(folder / "config.yaml").read_text(),
    )


@torch.no_grad()
def draw_samples(run: FinishedRun) -> list[Path]:
    """Draw ``train.pictures`` validation frames to ``pictures/`` in the run folder."""
    chosen = spread(run.frames, run.config.train.pictures)
    data = KeyFrames(chosen, run.config.data, training=False)
    model = run.model.eval()
    device = next(model.parameters()).device
    paths = []
    for index, frame in enumerate(chosen):
        sheet = draw_prediction(model, frame, data[index].to(device), title=run.config.name)
        paths.append(save_png(sheet, run.folder / "pictures" / f"{file_name(frame.token)}.png"))
    return paths

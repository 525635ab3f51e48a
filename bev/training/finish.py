"""The end of a run: pictures of a few samples and the report page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from bev.config import Experiment
from bev.data.dataset import KeyFrames
from bev.data.nuscenes import Frame
from bev.evaluation import Metrics, draw_pr_curves, read_details, write_page
from bev.models import Detector
from bev.visualization import draw_sheet, save_png


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """``count`` frames at even distances, or all where there are fewer."""
    step = max(len(frames) / max(count, 1), 1)
    return [frames[int((i + 0.5) * step)] for i in range(min(count, len(frames)))]


@torch.no_grad()
def draw_samples(
    model: Detector, frames: Sequence[Frame], config: Experiment, folder: Path
) -> list[Path]:
    """One picture each of ``train.pictures`` frames in ``folder/pictures``."""
    chosen = spread(frames, config.train.pictures)
    data = KeyFrames(chosen, config.data, training=False)
    device = next(model.parameters()).device
    model.eval()
    paths = []
    for index, frame in enumerate(chosen):
        boxes = model.detect(data[index].to(device))[0]
        sheet = draw_sheet(frame, boxes, title=config.name)
        paths.append(save_png(sheet, folder / "pictures" / f"{frame.token}.png"))
    return paths


def write_report(
    folder: Path,
    config: Experiment,
    metrics: Metrics,
    figures: Mapping[str, float],
    pictures: Sequence[Path],
    notice: str = "",
) -> Path:
    """``report.html`` in the run folder: metrics, precision-recall curves, pictures, config.

    ``figures`` are others than the official ones, shown beside them.
    """
    split = config.data.splits[1]
    evaluation = folder / "evaluation" / split
    return write_page(
        folder,
        title=f"{config.name} on {split}",
        subtitle=str(folder),
        notice=notice,
        metrics=metrics,
        figures=figures,
        curves=draw_pr_curves(read_details(evaluation), evaluation / "pr_curves.png"),
        pictures=pictures,
        config_text=(folder / "config.yaml").read_text(),
    )

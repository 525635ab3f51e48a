"""Drawing of the predictions of a detector."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bev.config import Experiment
from bev.data.batch import Batch
from bev.data.dataset import KeyFrames
from bev.data.frame import Frame
from bev.geometry import Boxes3D
from bev.models import Detector, DetectorConfig
from bev.models.detector import Prediction
from bev.visualization.bev_view import REACH
from bev.visualization.overlays import Overlay, overlay
from bev.visualization.sheet import draw_sheet, sheet_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """Choose ``count`` frames at even distances, or all if there are fewer."""
    return [frames[place] for place in spread_places(len(frames), count)]


def spread_places(total: int, count: int) -> list[int]:
    """Choose ``count`` of ``total`` places at even distances, or all if there are fewer."""
    step = max(total / max(count, 1), 1)
    return [int((i + 0.5) * step) for i in range(min(count, total))]


def draw_prediction(model: Detector, frame: Frame, batch: Batch, **drawn) -> np.ndarray:
    """Draw a frame with the predictions of a model for its batch; see ``draw_sheet``."""
    return draw_heads(model.config, frame, batch, model.predict(batch), **drawn)


@torch.no_grad()
def draw_samples(
    model: Detector, frames: Sequence[Frame], config: Experiment, count: int, **drawn: Any
) -> dict[str, np.ndarray]:
    """Draw ``count`` frames at even distances with the predictions of a model.

    Args:
        model: detector in evaluation mode.
        frames: key frames of a split.
        config: experiment of the model.
        count: number of frames.
        drawn: further arguments of ``draw_sheet``.

    Returns:
        Pictures by sample token.
    """
    chosen = spread(frames, count)
    data = KeyFrames(chosen, config.data, training=False)
    device = next(model.parameters()).device
    return {
        frame.token: draw_prediction(
            model, frame, data[index].to(device), title=config.name, **drawn
        )
        for index, frame in enumerate(chosen)
    }


def draw_heads(
    model: DetectorConfig,
    frame: Frame,
    batch: Batch,
    prediction: Prediction | None = None,
    **drawn: Any,
) -> np.ndarray:
    """Draw a frame with the overlays of all heads; see ``draw_sheet``.

    Args:
        model: settings of the model.
        frame: frame to draw.
        batch: batch of this frame alone, without augmentation.
        prediction: prediction for the batch; None to draw ground truth only.
        drawn: further arguments of ``draw_sheet``.
    """
    return draw_sheet(frame, **_sheet_parts(model, batch, prediction), **drawn)


def heads_figure(
    model: DetectorConfig,
    frame: Frame,
    batch: Batch,
    prediction: Prediction | None = None,
    **drawn: Any,
) -> "Figure":
    """Draw the BEV of :func:`draw_heads` as a figure of matplotlib, for SVG and PDF.

    Args:
        model: settings of the model.
        frame: frame to draw.
        batch: batch of this frame alone, without augmentation.
        prediction: prediction for the batch; None to draw ground truth only.
        drawn: further arguments of ``sheet_figure``.
    """
    return sheet_figure(frame, **_sheet_parts(model, batch, prediction), **drawn)


def predicted_boxes(model: DetectorConfig, batch: Batch, prediction: Prediction) -> Boxes3D | None:
    """Boxes that a model predicts for a batch of one sample; None if no head detects."""
    return _first_boxes(_overlays(model, batch, prediction))


def _overlays(model: DetectorConfig, batch: Batch, prediction: Prediction | None) -> list[Overlay]:
    return [
        overlay(head, prediction and prediction.results[name], batch, model)
        for name, head in model.heads.items()
    ]


def _first_boxes(overlays: Sequence[Overlay]) -> Boxes3D | None:
    return next((one.boxes for one in overlays if one.boxes is not None), None)


def _sheet_parts(
    model: DetectorConfig, batch: Batch, prediction: Prediction | None
) -> dict[str, Any]:
    """Arguments of ``draw_sheet`` with the overlays of all heads."""
    overlays = _overlays(model, batch, prediction)
    segmentation = [one.segmentation for one in overlays if one.segmentation is not None]
    return {
        "predictions": _first_boxes(overlays),
        "segmentation": segmentation,
        "space": model.label_space,
        "reach": reach_of(model),
    }


def reach_of(model: DetectorConfig) -> float:
    """Distance from the ego vehicle to each border of a model's BEV picture, metres."""
    farthest = max(map(abs, (*model.grid.x[:2], *model.grid.y[:2])))
    return REACH if farthest > 0.8 * REACH else 1.05 * farthest  # smaller grids fill the picture

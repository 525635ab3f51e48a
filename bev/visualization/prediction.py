"""Drawing a detector's predictions on samples."""

from collections.abc import Sequence

import numpy as np

from bev.data.batch import Batch
from bev.data.frame import Frame
from bev.models import Detector, DetectorConfig
from bev.models.detector import Prediction
from bev.visualization.bev_view import REACH
from bev.visualization.overlays import overlay
from bev.visualization.sheet import draw_sheet


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """``count`` frames at even distances, or all where there are fewer."""
    step = max(len(frames) / max(count, 1), 1)
    return [frames[int((i + 0.5) * step)] for i in range(min(count, len(frames)))]


def draw_prediction(model: Detector, frame: Frame, batch: Batch, **drawn) -> np.ndarray:
    """The sheet of a frame with what a model predicts for its batch; see ``draw_sheet``."""
    return draw_heads(model.config, frame, batch, model.predict(batch), **drawn)


def draw_heads(
    model: DetectorConfig,
    frame: Frame,
    batch: Batch,
    prediction: Prediction | None = None,
    **drawn,
) -> np.ndarray:
    """The sheet of a frame with what each head adds to it; see ``draw_sheet``.

    Args:
        model: its settings.
        frame: the frame.
        batch: of this frame alone, not augmented.
        prediction: of the batch; None to draw ground truth alone.
        drawn: further arguments of ``draw_sheet``.
    """
    boxes, segmentation = None, []
    for name, head in model.heads.items():
        found = overlay(head, prediction and prediction.results[name], batch, model)
        boxes = found.boxes if boxes is None else boxes
        segmentation += [] if found.segmentation is None else [found.segmentation]
    farthest = max(map(abs, (*model.grid.x[:2], *model.grid.y[:2])))
    reach = REACH if farthest > 0.8 * REACH else 1.05 * farthest  # a smaller grid fills the picture
    return draw_sheet(
        frame, boxes, segmentation=segmentation, space=model.labels, reach=reach, **drawn
    )

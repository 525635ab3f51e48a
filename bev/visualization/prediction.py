"""Drawing a detector's predictions on samples."""

from collections.abc import Sequence

import numpy as np

from bev.data.batch import Batch
from bev.data.frame import Frame
from bev.models import Detector
from bev.visualization.areas import area_maps
from bev.visualization.sheet import draw_sheet


def spread(frames: Sequence[Frame], count: int) -> list[Frame]:
    """``count`` frames at even distances, or all where there are fewer."""
    step = max(len(frames) / max(count, 1), 1)
    return [frames[int((i + 0.5) * step)] for i in range(min(count, len(frames)))]


def draw_prediction(model: Detector, frame: Frame, batch: Batch, **drawn) -> np.ndarray:
    """The sheet of a frame with what a model makes of its batch; see ``draw_sheet``."""
    found = model.predict(batch)
    boxes = found.boxes[0] if model.config.detects else None
    areas = None
    if found.segmentation is not None:
        areas = area_maps(model.config, batch.outlines[0], found.segmentation[0])
    return draw_sheet(frame, boxes, areas=areas, **drawn)

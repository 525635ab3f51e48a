"""Heatmaps of the detection head, one panel per class."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.errors import ConfigError
from bev.geometry import Boxes3D
from bev.models import CenterHeadConfig, Detector
from bev.models.heads.center.head import CenterHead
from bev.visualization.internals.panels import Scale, bev_panel, draw_panels
from bev.visualization.internals.run import Sample

_COLUMNS = 5
_LEAST = 2.4  # metres, least side of a mark, which leaves the peak within it visible


def class_heatmaps(model: Detector, output: dict) -> dict[str, Float[Tensor, "Y X"]]:
    """Probability of a box centre in each cell, for each class of the center head of one sample.

    Args:
        model: detector.
        output: raw outputs of its heads, for one sample.

    Raises:
        ConfigError: if the model has no center head.
    """
    for name, config in model.config.heads.items():
        head = getattr(model, name)
        if isinstance(config, CenterHeadConfig) and isinstance(head, CenterHead):
            return {
                label: torch.sigmoid(heatmap.float())
                for classes, task in zip(head.classes, output[name], strict=True)
                for label, heatmap in zip(classes, task.heatmap[0], strict=True)
            }
    raise ConfigError(
        "The model has no center head, so there are no heatmaps to draw; its heads are"
        f" {', '.join(model.config.heads)}."
    )


def marks(boxes: Boxes3D) -> Boxes3D:
    """Boxes to mark in a heatmap: small ones enlarged around their peaks, and without motion."""
    still = torch.zeros_like(boxes.velocity)
    return replace(boxes, size=boxes.size.clamp(min=_LEAST), velocity=still)


def draw_heatmaps(sample: Sample) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the heatmap of each class with the ground truth of the class.

    Raises:
        ConfigError: if the model has no center head.
    """
    model, frame = sample.model, sample.frame
    heatmaps = class_heatmaps(model, sample.internals.prediction.output.heads)
    highest = max(float(heatmap.max()) for heatmap in heatmaps.values())
    scale = Scale(0.0, highest, "probability of a box centre")
    pixels = 3 * sample.camera_width // _COLUMNS
    names, gt_boxes = model.config.label_space.names, frame.boxes[frame.counted(1)]
    panels = []
    for name, heatmap in heatmaps.items():
        own = gt_boxes[gt_boxes.label == names.index(name)]
        title = f"{name.replace('_', ' ')}  ·  {len(own)} annotated, peak {heatmap.max():.2f}"
        panels.append(
            bev_panel(
                title, scale.colors(heatmap), model.config.grid, pixels, sample.theme,
                gt_boxes=marks(own),
            )
        )  # fmt: skip
    rows = [panels[at : at + _COLUMNS] for at in range(0, len(panels), _COLUMNS)]
    return draw_panels(sample, rows, [scale], title="Heatmaps")

"""Maps of the heads in the BEV: segmentation, occupancy, and others that have an overlay."""

import numpy as np
from jaxtyping import UInt8

from bev.data.batch import Batch
from bev.data.frame import Frame
from bev.errors import ConfigError
from bev.models import Detector
from bev.visualization.bev_view import BevView, draw_bev
from bev.visualization.colors import DARK, Theme
from bev.visualization.internals.panels import Panel, draw_panels, reach_of
from bev.visualization.internals.run import internals_of
from bev.visualization.overlays import overlay
from bev.visualization.segmentation import SegmentationMaps

_COLUMNS = 4


def draw_maps(
    model: Detector,
    frame: Frame,
    batch: Batch,
    *,
    camera_width: int = 480,
    theme: Theme = DARK,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw every layer that the heads predict: predicted cells and the border of ground truth.

    Args:
        model: detector.
        frame: frame to draw.
        batch: batch of this frame alone, without augmentation.
        camera_width: width of four panels is that of three images of this width, pixels.
        theme: colours.

    Raises:
        ConfigError: if no head of the model predicts maps that can be drawn
            (``bev.visualization.overlays``).
    """
    results = internals_of(model, batch).prediction.results
    panels = []
    for name, head in model.config.heads.items():
        maps = overlay(head, results[name], batch, model.config).segmentation
        if maps is None:
            continue
        for number, layer in enumerate(maps.layers):
            one = SegmentationMaps(
                maps.grid,
                [layer],
                [maps.colors[number]],
                None if maps.predicted is None else maps.predicted[number : number + 1],
                maps.ground_truth[number : number + 1],
            )
            view = BevView(3 * camera_width // _COLUMNS, reach_of(maps.grid))
            picture = draw_bev(view, segmentation=[one], theme=theme)
            panels.append(Panel(f"{layer.replace('_', ' ')}{_overlap(one)}", picture))
    if not panels:
        raise ConfigError(
            "No head of the model predicts maps; choose a model with segmentation layers"
            " (model.segmentation.layers), or register an overlay for its head."
        )
    rows = [panels[at : at + _COLUMNS] for at in range(0, len(panels), _COLUMNS)]
    note = "filled: predicted; outlined: ground truth"
    return draw_panels(frame, rows, title="Maps", note=note, theme=theme)


def _overlap(maps: SegmentationMaps) -> str:
    """Intersection over union of one layer, for its title."""
    if maps.predicted is None:
        return ""
    if not maps.ground_truth.any():  # also of a layer that the data lack
        return "  ·  no ground truth"
    both = int((maps.predicted & maps.ground_truth).sum())
    either = int((maps.predicted | maps.ground_truth).sum())
    return f"  ·  IoU {both / either:.2f}"

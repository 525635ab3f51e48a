"""Maps of the heads in the BEV: segmentation, occupancy, and others that have an overlay."""

import numpy as np
from jaxtyping import UInt8

from bev.errors import ConfigError
from bev.visualization.bev_view import BevView, draw_bev
from bev.visualization.internals.panels import Panel, draw_panels, reach_of
from bev.visualization.internals.run import Sample
from bev.visualization.overlays import overlay
from bev.visualization.segmentation import SegmentationMaps

_COLUMNS = 4


def draw_maps(sample: Sample) -> UInt8[np.ndarray, "H W 3"]:
    """Draw every layer that the heads predict: predicted cells and the border of ground truth.

    Raises:
        ConfigError: if no head of the model predicts maps that can be drawn
            (``bev.visualization.overlays``).
    """
    model, batch = sample.model, sample.batch
    results = sample.internals.prediction.results
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
            view = BevView(3 * sample.camera_width // _COLUMNS, reach_of(maps.grid))
            picture = draw_bev(view, segmentation=[one], theme=sample.theme)
            panels.append(Panel(f"{layer.replace('_', ' ')}{_overlap(one)}", picture))
    if not panels:
        raise ConfigError(
            "No head of the model predicts maps; choose a model with segmentation layers"
            " (model.segmentation.layers), or register an overlay for its head."
        )
    rows = [panels[at : at + _COLUMNS] for at in range(0, len(panels), _COLUMNS)]
    note = "filled: predicted; outlined: ground truth"
    return draw_panels(sample, rows, title="Maps", note=note)


def _overlap(maps: SegmentationMaps) -> str:
    """Intersection over union of one layer, for its title."""
    if maps.predicted is None:
        return ""
    if not maps.ground_truth.any():  # also of a layer that the data lack
        return "  ·  no ground truth"
    both = int((maps.predicted & maps.ground_truth).sum())
    either = int((maps.predicted | maps.ground_truth).sum())
    return f"  ·  IoU {both / either:.2f}"

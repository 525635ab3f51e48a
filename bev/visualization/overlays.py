"""Drawing of the results of one head in the picture of a sample.

Overlays are registered for the settings class of a head:

    @overlay.register
    def _(config: OccupancyConfig, decoded, batch: Batch, model: DetectorConfig) -> Overlay: ...
"""

from functools import singledispatch
from typing import Any, NamedTuple

from bev.data.batch import Batch
from bev.geometry import Boxes3D
from bev.models import CenterHeadConfig, DetectorConfig, HeadConfig, SegmentationHeadConfig
from bev.visualization.colors import layer_color
from bev.visualization.segmentation import SegmentationMaps


class Overlay(NamedTuple):
    """Elements that a head adds to the picture of one sample.

    Attributes:
        boxes: predicted boxes in the ego frame; None for heads that do not detect.
        segmentation: maps of the BEV; None for none.
    """

    boxes: Boxes3D | None = None
    segmentation: SegmentationMaps | None = None


@singledispatch
def overlay(config: HeadConfig, decoded: Any, batch: Batch, model: DetectorConfig) -> Overlay:
    """Create the overlay of a head for a sample; empty if none is registered.

    Args:
        config: settings of the head; their class selects the function.
        decoded: decoded results of the head for the batch; None to draw ground truth only.
        batch: batch of this one sample, without augmentation, so that the BEV frame is the ego
            frame.
        model: settings of the whole model.
    """
    return Overlay()


@overlay.register
def _(config: CenterHeadConfig, decoded: Any, batch: Batch, model: DetectorConfig) -> Overlay:
    return Overlay(boxes=None if decoded is None else decoded[0])


@overlay.register
def _(config: SegmentationHeadConfig, decoded: Any, batch: Batch, model: DetectorConfig) -> Overlay:
    space = model.label_space
    maps = SegmentationMaps(
        model.grid,
        config.layers,
        [layer_color(space, space.layer_names.index(name)) for name in config.layers],
        None if decoded is None else decoded[0].cpu() > 0,
        config.ground_truth([polygons.to("cpu") for polygons in batch.polygons], model.grid, space)[
            0
        ],
    )
    return Overlay(segmentation=maps)

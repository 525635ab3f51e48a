"""The drawing of one head: what it adds to the picture of a sample.

Which one a head has is registered for the class of its settings:

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
    """Additions of a head to the picture of one sample.

    Attributes:
        boxes: predicted, in the ego frame; None where nothing detects.
        segmentation: maps of the BEV; None for none.
    """

    boxes: Boxes3D | None = None
    segmentation: SegmentationMaps | None = None


@singledispatch
def overlay(config: HeadConfig, decoded: Any, batch: Batch, model: DetectorConfig) -> Overlay:
    """The additions of a head to the picture of a sample; none where no drawing is registered.

    Args:
        config: the head's settings, by whose class the function is chosen.
        decoded: what the head decoded for the batch; None to draw ground truth alone.
        batch: of this one sample, not augmented: its BEV frame is the ego frame.
        model: the whole model's settings.
    """
    return Overlay()


@overlay.register
def _(config: CenterHeadConfig, decoded: Any, batch: Batch, model: DetectorConfig) -> Overlay:
    return Overlay(boxes=None if decoded is None else decoded[0])


@overlay.register
def _(config: SegmentationHeadConfig, decoded: Any, batch: Batch, model: DetectorConfig) -> Overlay:
    space = model.labels
    maps = SegmentationMaps(
        model.grid,
        config.layers,
        [layer_color(space, space.layer_names.index(name)) for name in config.layers],
        None if decoded is None else decoded[0].cpu() > 0,
        config.ground_truth([own.to("cpu") for own in batch.polygons], model.grid, space)[0],
    )
    return Overlay(segmentation=maps)

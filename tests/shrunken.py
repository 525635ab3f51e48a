"""Shrink any experiment until a step takes a fraction of a second; its kinds of parts stay."""

from dataclasses import fields, is_dataclass, replace

from bev.config import Experiment
from bev.data.labels import LabelSpace
from bev.geometry import BevGrid
from bev.models import BackboneConfig, DepthBins, SegmentationHeadConfig
from bev.training.settings import TensorBoardConfig

WIDTHS = {"channels", "shared", "branch", "width", "hidden", "neck", "stages"}
WIDEST = 16


def shrunken(config: Experiment) -> Experiment:
    """Narrow layers, large cells, thick depth bins and small images; one process."""
    data = replace(config.data, image_size=(64, 176), image_cache=0.0)
    train = replace(
        config.train, devices=1, threads=1, pictures=0, log_every=10,
        tensorboard=TensorBoardConfig(pictures=0, graph=False),
    )  # fmt: skip
    return replace(config, model=_shrunken(config.model), data=data, train=train)


def large_cells(grid: BevGrid) -> BevGrid:
    """The same ranges in a grid of 32x32 cells."""
    ranges = {axis: getattr(grid, axis)[:2] for axis in "xy"}
    return replace(grid, **{axis: (lo, hi, (hi - lo) / 32) for axis, (lo, hi) in ranges.items()})


def _shrunken(part):
    if isinstance(part, BackboneConfig):
        small = (8, 8, 16, 16)
        return replace(part, name="resnet10t", pretrained=False, channels=small, stem=8)
    if isinstance(part, BevGrid):
        return large_cells(part)
    if isinstance(part, DepthBins):
        return replace(part, step=(part.hi - part.lo) / 14)
    if isinstance(part, SegmentationHeadConfig):
        return replace(part, positive_weight=20.0)  # few large cells are covered, and steps are few
    if isinstance(part, LabelSpace):
        return part  # itself: that of a source is replaced with the source
    small = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if is_dataclass(value):
            small[field.name] = _shrunken(value)
        elif field.name in WIDTHS and isinstance(value, int):
            small[field.name] = min(value, WIDEST)
        elif field.name in WIDTHS and isinstance(value, tuple):
            small[field.name] = tuple(min(width, WIDEST) for width in value)
    return replace(part, **small)

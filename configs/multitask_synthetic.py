"""Boxes and vehicles in the BEV from one network, CPU-sized: ``lss_synthetic`` with both heads.

No published figure compares: the data are made. Measured here: nothing yet.
"""

from dataclasses import replace

from lss_synthetic import config as base

from bev.data.outlines import OutlineConfig
from bev.models import SegmentationHeadConfig

config = replace(
    base,
    model=replace(base.model, segmentation=SegmentationHeadConfig(("vehicle",))),
    data=replace(base.data, outlines=OutlineConfig(("vehicle",))),
)

"""Boxes and BEV segmentation of vehicles, ResNet-50, 256x704: ``lss_r50`` with both heads.

With nuScenes' map expansion, it can segment drivable area and lane dividers too:

    --model.segmentation.layers vehicle drivable_area divider
    --data.polygons.layers vehicle drivable_area divider

Published by others on nuScenes val, each task alone: 28.3 mAP / 35.0 NDS (BEVDet-R50 dev2.1, 24
epochs); vehicle IoU 38.69 for all vehicles and 43.97 for those more than 40 % visible (PointBeV,
224x480). Measured here: nothing yet.
"""

from dataclasses import replace

from lss_r50 import config as base

from bev.data.polygons import PolygonConfig
from bev.models import SegmentationHeadConfig

config = replace(
    base,
    model=replace(base.model, segmentation=SegmentationHeadConfig(("vehicle",))),
    data=replace(base.data, polygons=PolygonConfig(("vehicle",))),
)

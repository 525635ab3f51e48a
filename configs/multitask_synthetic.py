"""Boxes and BEV segmentation of vehicles for a CPU: ``lss_synthetic`` with both heads.

No published figure compares: the data are synthetic. Measured on the 140 held-out frames after 2000
steps (``--train.max-steps 2000``, 32 minutes in float32 on two cores without AMX): mAP 0.147, NDS
0.201, vehicle IoU 0.303 for all vehicles, 0.342 for those more than 40 % visible.
"""

from dataclasses import replace

from lss_synthetic import config as base

from bev.data.polygons import PolygonConfig
from bev.models import SegmentationHeadConfig

config = replace(
    base,
    model=replace(base.model, segmentation=SegmentationHeadConfig(("vehicle",))),
    data=replace(base.data, polygons=PolygonConfig(("vehicle",))),
)

"""Segmentation and occupancy on the features of a trained detector: only the two heads train.

    bevlab train docs/examples/maps.py --train.init.weights synthetic

It takes three minutes on one core; the losses of the other heads are shown and train nothing.
"""

from dataclasses import replace
from functools import partial

from bevdepth_synthetic import config as base
from occupancy import OccupancyConfig, WithOccupancy
from torch.optim import AdamW

from bev.data.polygons import PolygonConfig
from bev.models import SegmentationHeadConfig
from bev.training.settings import StageConfig

LAYERS = ("drivable_area", "ped_crossing", "vehicle")
segmentation = SegmentationHeadConfig(LAYERS, hidden=48)
model = WithOccupancy(
    **vars(replace(base.model, segmentation=segmentation, flip_tta=False)),
    occupancy=OccupancyConfig(positive_weight=6.0),
)
data = replace(base.data, polygons=PolygonConfig(LAYERS))
heads = StageConfig(only=("segmentation", "occupancy"), fixed_norms=("",))
train = replace(
    base.train, optimizer=partial(AdamW, fused=True), lr=3e-3, stages=(heads,), max_steps=420,
    warmup_steps=20, ema=0.0, validate_every=0,
)  # fmt: skip
config = replace(base, model=model, data=data, train=train)

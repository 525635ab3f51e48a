"""Two frames made for a CPU: ``lss_synthetic`` with the key frame before, joined in the BEV.

After BEVDet4D (Huang and Huang 2022): the earlier frame's features are lifted into the sample's
own frame and concatenated before the BEV encoder; no gradient flows through them; the velocity's
loss weight is 1. Measured here: nothing yet.
"""

from dataclasses import replace

from lss_synthetic import config as base

from bev.data.adjacent import AdjacentConfig
from bev.models import TemporalConfig

config = replace(
    base,
    model=replace(
        base.model,
        temporal=TemporalConfig(frames=1),
        head=replace(base.model.head, velocity_weight=1.0),
    ),
    data=replace(base.data, adjacent=AdjacentConfig(previous=1)),
)

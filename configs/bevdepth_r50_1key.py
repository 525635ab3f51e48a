"""BEVDepth-R50 with one key frame, for the published weights.

Rebuilds ``bev_depth_lss_r50_256x704_128x128_24e_ema`` of the authors' code. Deviations are those of
``bevdepth_r50_2key``, without that on the earlier frame. Measured here on nuScenes: nothing yet; no
full data set was at hand.
"""

from dataclasses import replace

from bevdepth_r50_2key import config as base

from bev.data.adjacent import AdjacentConfig

model = replace(
    base.model,
    temporal=replace(base.model.temporal, num_adjacent=0),
    head=replace(base.model.head, velocity_weight=0.5),
)
config = replace(base, model=model, data=replace(base.data, adjacent=AdjacentConfig()))

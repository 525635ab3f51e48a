"""BEVDet4D-Depth: BEVDet with supervised depth, the previous key frame and CBGS.

Huang and Huang 2022, values of the dev2.1 code. Published by others on nuScenes val, mAP / NDS:

    BEVDet4D-Depth-R50 dev2.1, CBGS, 20 epochs      36.1 / 48.3

Deviations: the earlier frame is lifted directly into the sample's BEV frame instead of being warped
there, and its time is an input of the network; six tasks (groups of classes) and a BEV neck with
512 channels, as in ``bevdet_r50``, where dev2.1 has one task and 256 (``bevdet_r50_dev21``).
Measured here on nuScenes: nothing yet; no full data set was at hand.
"""

from dataclasses import replace

from bevdet_r50_cbgs import config as base

from bev.data.adjacent import AdjacentConfig
from bev.models import CameraAwareDepthNetConfig, DepthBins, DepthSupervisionConfig, TemporalConfig

model = replace(
    base.model,
    view=replace(
        base.model.view, depth=DepthBins(1.0, 60.0, 0.5), depth_net=CameraAwareDepthNetConfig()
    ),
    temporal=TemporalConfig(num_adjacent=1, blocks=2),
    head=replace(base.model.head, velocity_weight=1.0),
    depth_supervision=DepthSupervisionConfig(3.0, "bce"),
)
data = replace(base.data, adjacent=AdjacentConfig(previous=1), lidar=True)
config = replace(base, model=model, data=data)

"""BEVDet4D-Depth: BEVDet with supervised depth, the previous key frame and CBGS.

Huang and Huang 2022, values of the dev2.1 code: one task of ten classes, loss weights 6 and 1.5,
branches of 96 channels in the depth net's pyramid, a 3x3 convolution on the first shortcut of the
encoder of each frame, no earlier frame in the first three epochs. Published by others on nuScenes
val, mAP / NDS:

    BEVDet4D-Depth-R50 dev2.1, CBGS, 20 epochs      36.1 / 48.3

Deviations: those of ``bevdet_r50``, of which decoding has only that in height; the depth net takes
the calibration of the earlier frame for that frame, not the sample's, and one of two linear layers
is dropped (``bev/models/view/camera_aware.py``); depth labels are not rounded by half a pixel.
Measured here on nuScenes: nothing yet; no full data set was at hand.
"""

from dataclasses import replace

from bevdet_r50_cbgs import config as base
from bevdet_r50_dev21 import decode

from bev.data.adjacent import AdjacentConfig
from bev.data.nuscenes.classes import CLASSES
from bev.models import CameraAwareDepthNetConfig, DepthBins, DepthSupervisionConfig, TemporalConfig
from bev.training.settings import StageConfig

depth_net = CameraAwareDepthNetConfig(aspp_width=96, batch_norm=True, parameters="published")
model = replace(
    base.model,
    view=replace(base.model.view, depth=DepthBins(1.0, 60.0, 0.5), depth_net=depth_net),
    temporal=TemporalConfig(num_adjacent=1, blocks=2, projection=True, times=False),
    head=replace(
        base.model.head,
        tasks=(tuple(CLASSES),),
        heatmap_weight=6.0,
        regression_weight=1.5,
        velocity_weight=1.0,
        decode=decode,
    ),
    depth_supervision=DepthSupervisionConfig(3.0, "bce"),
)
data = replace(base.data, adjacent=AdjacentConfig(previous=1), lidar=True)
stages = (StageConfig(adjacent=False), StageConfig(start=3 / 20))
config = replace(base, model=model, data=data, train=replace(base.train, stages=stages))

"""BEVDepth-R50 with two key frames, for the published weights.

Rebuilds ``bev_depth_lss_r50_256x704_128x128_24e_2key`` (and ``_ema``) of the authors' code.
Published by others on nuScenes val, mAP / NDS: 33.0 / 43.6, with EMA 33.3 / 44.1.

The published images are normalised as BGR with the mean and standard deviation of RGB; here red and
blue are exchanged in the first convolution, the mean and the standard deviation instead. Not
reproduced: the published code counts points up to one cell below a range in its first cell (in z
the whole row between -13 and -5 m); it treats all cameras of a sample as simultaneous and uses the
mean of their ego frames (here each camera has its own time, and the ego frame is that of
LIDAR_TOP); its depth net gets the calibration of the current sample for the earlier frame, too; it
freezes the stem in training, drops boxes more than 10 m up or down, and resizes images with PIL.
"""

from dataclasses import replace

from bevdepth_r50 import config as base

from bev.models import CameraAwareDepthNetConfig, SECONDEncoderConfig

depth_net = CameraAwareDepthNetConfig(deformable=True, batch_norm=True, parameters="published")
model = replace(
    base.model,
    backbone=replace(
        base.model.backbone,
        mean=(103.53, 116.28, 123.675),
        std=(57.375, 57.12, 58.395),
    ),
    neck=replace(base.model.neck, eps=1e-3),
    view=replace(base.model.view, depth_net=depth_net),
    temporal=replace(base.model.temporal, times=False),
    encoder=SECONDEncoderConfig(),
    head=replace(base.model.head, decode=replace(base.model.head.decode, window=1, nms="circle")),
)
config = replace(base, model=model)

"""BEVDepth-R50 with two key frames, for the authors' weights.

Rebuilds ``bev_depth_lss_r50_256x704_128x128_24e_2key`` (and ``_ema``) of the authors' code.
Published by others on nuScenes val, mAP / NDS: 33.0 / 43.6, with EMA 33.3 / 44.1.

The published images are normalised as BGR with the mean and deviation of RGB; here red and blue of
the first convolution and of mean and deviation are exchanged instead. Not reproduced: points up to
one cell below a range fold into its first cell (in z the whole row between -13 and -5 m); all
cameras of a sample are taken as if at one time, and the ego frame is the mean of theirs (here each
has its own time, and the frame is that of LIDAR_TOP's); the depth net of the earlier frame is told
the sample's calibration; the stem is frozen in training; boxes more than 10 m up or down are
dropped; PIL resizes the images.
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

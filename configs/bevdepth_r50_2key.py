"""BEVDepth-R50 with two key frames, for the published weights.

Rebuilds ``bev_depth_lss_r50_256x704_128x128_24e_2key`` (and ``_ema``) of the authors' code.
Published by others on nuScenes val, mAP / NDS: 33.0 / 43.6, with EMA 33.3 / 44.1.

As published, points up to one cell below a range of the grid are counted in its first cell (in z
the whole row between -13 and -5 m), and narrow images stay at the left edge. The published images
are normalised as BGR with the mean and standard deviation of RGB; here red and blue are exchanged
in the first convolution, the mean and the standard deviation instead. Deviations: the published
code treats all cameras of a sample as simultaneous and uses the mean of their ego frames (here each
camera has its own time, and the ego frame is that of LIDAR_TOP); its depth net gets the calibration
of the current sample for the earlier frame, too, and ends its MLP with two linear layers (merged
into one here, with the same outputs); boxes more than 10 m up or down are kept; images
are warped once with OpenCV, not resized and rotated with PIL; in training, unknown velocities are
masked, not 0, layers without published weights start as PyTorch's do, the batch norms of the necks
have a momentum of 0.1, not 0.01, and GPUs compute in bf16, the head too.
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
    view=replace(base.model.view, depth_net=depth_net, truncate=True),
    temporal=replace(base.model.temporal, times=False),
    encoder=SECONDEncoderConfig(),
    head=replace(base.model.head, decode=replace(base.model.head.decode, window=1, nms="circle")),
)
images = replace(base.data.image_augmentation, narrow_left=True)
config = replace(base, model=model, data=replace(base.data, image_augmentation=images))

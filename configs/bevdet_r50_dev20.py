"""BEVDet-R50 of the dev2.0 code, for its published weights: ``bevdet_r50`` with its decoding.

Rebuilds ``configs/bevdet/bevdet-r50.py`` (and ``-cbgs``) with six tasks of BEVDet's dev2.0
branch. Published by others on nuScenes val, mAP / NDS: 27.8 / 32.2, with CBGS 30.7 / 38.2.

As published, points up to one cell below a range of the grid are counted in its first cell (in z
the whole row between -13 and -5 m), narrow images stay at the left edge, decoding takes every cell
as a peak, and barriers are suppressed by distance. The published images are normalised as BGR with
the mean and standard deviation of RGB; here red and blue are exchanged in the first convolution,
the mean and the standard deviation instead. Deviations: the ego frame is that of LIDAR_TOP, not of
a front camera; boxes more than 10 m up or down are kept; results are written with the centres of
boxes, not with bottom centres moved up in global coordinates; images are warped once with OpenCV,
not resized and rotated with PIL; in training, unknown velocities are masked, not 0, layers without
published weights start as PyTorch's do, activations are stored, and GPUs compute in bf16.
"""

from dataclasses import replace

from bevdet_r50 import config as base

backbone = replace(base.model.backbone, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
decode = replace(base.model.head.decode, window=1, distance=("barrier",))
model = replace(
    base.model,
    backbone=backbone,
    view=replace(base.model.view, truncate=True),
    head=replace(base.model.head, decode=decode),
)
images = replace(base.data.image_augmentation, narrow_left=True)
config = replace(base, model=model, data=replace(base.data, image_augmentation=images))

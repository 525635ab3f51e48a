"""BEVDet-R50 of the dev2.0 code, for its published weights: ``bevdet_r50`` with its decoding.

Rebuilds ``configs/bevdet/bevdet-r50.py`` (and ``-cbgs``) with six tasks of BEVDet's dev2.0
branch. Published by others on nuScenes val, mAP / NDS: 28.3 / 35.0, with CBGS 31.3 / 39.8.

The published images are normalised as BGR with the mean and standard deviation of RGB; here red and
blue are exchanged in the first convolution, the mean and the standard deviation instead. As
published, decoding takes every cell as a peak and suppresses barriers by distance. Not reproduced:
the published code counts points up to one cell below a range in its first cell (in z the whole row
between -13 and -5 m); its ego frame is that at a front camera's time, not LIDAR_TOP's; it drops
boxes more than 10 m up or down; it resizes images with PIL.
"""

from dataclasses import replace

from bevdet_r50 import config as base

backbone = replace(base.model.backbone, mean=(103.53, 116.28, 123.675), std=(57.375, 57.12, 58.395))
decode = replace(base.model.head.decode, window=1, distance=("barrier",))
head = replace(base.model.head, decode=decode)
config = replace(base, model=replace(base.model, backbone=backbone, head=head))

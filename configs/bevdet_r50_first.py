"""BEVDet-R50 of the first release, for its published weights: in the lidar's frame, 64 channels.

Rebuilds ``configs/bevdet/bevdet-r50.py`` of BEVDet's master branch, June 2022. Published by others
on nuScenes val, mAP / NDS: 29.9 / 37.7.

Boxes and BEV stand in the LIDAR_TOP sensor's frame, and images are enlarged at test time. Not
reproduced: points up to one cell below a range fold into its first cell (in z the whole row between
-30 and -10 m); boxes more than 10 m up or down are dropped; PIL resizes the images.
"""

from dataclasses import replace

from bevdet_r50 import config as base

decode = replace(base.model.head.decode, window=1, distance=("barrier",))
model = replace(
    base.model,
    grid=replace(base.model.grid, z=(-10.0, 10.0, 20.0)),
    view=replace(base.model.view, channels=64),
    encoder=replace(base.model.encoder, stages=(128, 256, 512)),
    head=replace(base.model.head, decode=decode),
)
data = replace(base.data, reference="lidar", test_scale=0.04)
config = replace(base, model=model, data=data)

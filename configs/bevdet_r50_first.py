"""BEVDet-R50 of the first release, for its published weights: lidar frame, 64 channels.

Rebuilds ``configs/bevdet/bevdet-r50.py`` of BEVDet's master branch, June 2022. Published by others
on nuScenes val, mAP / NDS: 29.9 / 37.7.

Boxes and BEV are in the frame of the LIDAR_TOP sensor, and images are enlarged at test time. Not
reproduced: the published code counts points up to one cell below a range in its first cell (in z
the whole row between -30 and -10 m); it drops boxes more than 10 m up or down; it resizes images
with PIL.
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

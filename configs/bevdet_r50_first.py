"""BEVDet-R50 of the first release, for its published weights: lidar frame, 64 channels.

Rebuilds ``configs/bevdet/bevdet-r50.py`` of BEVDet's master branch, June 2022. Published by others
on nuScenes val, mAP / NDS: 29.9 / 37.7.

Boxes and BEV are in the frame of the LIDAR_TOP sensor, and images are enlarged at test time. As
published, points up to one cell below a range of the grid are counted in its first cell (in z the
whole row between -30 and -10 m), and narrow images stay at the left edge. Class-balanced sampling,
24 epochs with two steps, weights not averaged, gradients not clipped.

Deviations: boxes more than 10 m up or down are kept; results are written with the centres of boxes,
not with bottom centres moved up in global coordinates; images are warped once with OpenCV, not
resized and rotated with PIL; in training, the loss is divided by the mean number of boxes over the
processes (by the process's own in this release), unknown velocities are masked, not 0, layers
without published weights start as PyTorch's do, activations are stored, and GPUs compute in bf16.
"""

from dataclasses import replace
from functools import partial

from bevdet_r50 import config as base
from torch.optim.lr_scheduler import MultiStepLR

from bev.data.sampling import SamplingConfig

decode = replace(base.model.head.decode, window=1, distance=("barrier",))
model = replace(
    base.model,
    grid=replace(base.model.grid, z=(-10.0, 10.0, 20.0)),
    view=replace(base.model.view, channels=64, truncate=True),
    encoder=replace(base.model.encoder, stages=(128, 256, 512)),
    head=replace(base.model.head, decode=decode),
)
data = replace(
    base.data,
    reference="lidar",
    test_scale=0.04,
    image_augmentation=replace(base.data.image_augmentation, narrow_left=True),
    sampling=SamplingConfig("class"),
)
train = replace(
    base.train,
    weight_decay=1e-2,
    warmup_steps=500,
    schedule=partial(MultiStepLR, milestones=(16 / 24, 22 / 24)),
    max_grad_norm=0.0,
    ema=0.0,
)
config = replace(base, model=model, data=data, train=train)

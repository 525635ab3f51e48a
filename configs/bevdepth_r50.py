"""BEVDepth: lidar-supervised depth, camera-aware depth net, two key frames.

Li et al. 2022, values of the authors' code: the stem is frozen, there is no warm-up, and the decay
of the averaged weights is 0.999 from the start. Published by others on nuScenes val, mAP / NDS:

    BEVDepth-R50, two key frames, EMA, 24 epochs    33.3 / 44.1

Deviations: those of ``bevdepth_r50_2key``; points below a range of the grid are left out, narrow
images are centred, and images are normalised as RGB; the depth net's parameters and its missing
batch norm and deformable convolution are those of ``bev/models/view/camera_aware.py``; BEV encoder,
batch norm of the neck, 3x3 maxima and rotated suppression are those of ``bevdet_r50``; the time
between the frames is an input of the network. Measured here on nuScenes: nothing yet; no full data
set was at hand.
"""

from dataclasses import replace
from functools import partial

from bevdet_r50 import config as base
from torch.optim.lr_scheduler import MultiStepLR

from bev.data.adjacent import AdjacentConfig
from bev.data.augmentation import ImageAugmentation
from bev.models import (
    CameraAwareDepthNetConfig,
    DepthBins,
    DepthSupervisionConfig,
    SECONDFPNConfig,
    TemporalConfig,
)
from bev.training.settings import StageConfig

model = replace(
    base.model,
    backbone=replace(base.model.backbone, strides=(4, 8, 16, 32)),
    neck=SECONDFPNConfig(channels=128, stride=16),
    view=replace(
        base.model.view, depth=DepthBins(2.0, 58.0, 0.5), depth_net=CameraAwareDepthNetConfig()
    ),
    temporal=TemporalConfig(num_adjacent=1),
    head=replace(base.model.head, velocity_weight=1.0),
    depth_supervision=DepthSupervisionConfig(3.0, "bce"),
)
data = replace(
    base.data,
    image_augmentation=ImageAugmentation(scale=(-0.054, 0.11), rotation=5.4),
    adjacent=AdjacentConfig(previous=1),
    lidar=True,
)
train = replace(
    base.train,
    schedule=partial(MultiStepLR, milestones=(19 / 24, 23 / 24)),
    warmup_steps=0,
    stages=(StageConfig(frozen=("backbone.body.conv1", "backbone.body.bn1")),),
    ema_start=28_130 * 24,
)
config = replace(base, model=model, data=data, train=train)

"""Lift-Splat-Shoot's task: vehicles in the BEV, EfficientNet-B0, 128x352, 5 of 6 cameras.

Philion and Fidler 2020. Published by others on nuScenes val, vehicle IoU; ground truth is all
vehicles or those more than 40 % visible (which changes the figure by several points):

    Lift-Splat-Shoot, paper / authors' code     32.07 / 33.03    all
    FIERY static                                35.8             not stated
    CVT                                         37.7             > 40 %
    PointBeV, 224x480                           38.69 / 43.97    all / > 40 %
    GaussianLSS                                 38.3 / 42.8      all / > 40 %

The published EfficientNet is efficientnet_pytorch's B0: weights of the network's authors, trained
with AutoAugment, and TensorFlow's padding; timm's port is ``tf_efficientnet_b0.aa_in1k`` according
to the documentation of both (the files were not compared).

Deviations: points below the grid are left out, not counted in its first cell; images that shrink
below the network's width are centred, and all are warped once with OpenCV; crop windows are moved
up by 0-0.32 of their height, which is 0-0.22 of a median image's height; no layers of the backbone
are dropped in training, and its batch norms have a momentum of 0.1, not 0.01; the BEV encoder has
no 7x7 stem, 3x3 shortcuts and one more 1x1 convolution, and starts as PyTorch's layers do; training
ground truth is evaluated at cell centres (figures of the published filling are named
``..._opencv``). One GPU, as published: batches of four and 300,000 steps. Measured: nothing yet.
"""

from dataclasses import replace

import torch
from lss_r50 import config as base

from bev import models
from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.data.polygons import PolygonConfig
from bev.geometry import BevGrid

model = models.DetectorConfig(
    backbone=models.BackboneConfig("tf_efficientnet_b0.aa_in1k", strides=(16, 32)),
    neck=models.ConcatNeckConfig(channels=512),
    grid=BevGrid(x=(-50.0, 50.0, 0.5), y=(-50.0, 50.0, 0.5), z=(-10.0, 10.0, 20.0)),
    view=models.LiftSplatConfig(models.DepthBins(4.0, 45.0, 1.0), channels=64, frustum="corners"),
    encoder=models.BevEncoderConfig(stages=(64, 128, 256), blocks=2, neck=256, channels=128),
    head=models.CenterHeadConfig(tasks=()),
    segmentation=models.SegmentationHeadConfig(("vehicle",), opencv_figures=True),
)
data = replace(
    base.data,
    image_size=(128, 352),
    # resize 0.193-0.225 of 1600 pixels, where 352 / 1600 = 0.22 is unscaled
    image_augmentation=ImageAugmentation(scale=(-0.054, 0.01), crop_top=(0.0, 0.32), rotation=5.4),
    bev_augmentation=BevAugmentation.off(),
    drop_cameras=1,
    polygons=PolygonConfig(("vehicle",)),
    batch_size=4,
)
train = replace(
    base.train, epochs=43, max_steps=300_000, lr=1e-3, lr_batch=0, weight_decay=1e-7,
    warmup_steps=0, max_grad_norm=5.0, ema=0.0, precision="32", optimizer=torch.optim.Adam,
    devices=1,
)  # fmt: skip
config = replace(base, model=model, data=data, train=train)

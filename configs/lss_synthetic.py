"""Lift-splat made for a CPU: learns the made world in half an hour on two cores.

A narrow ten-layer ResNet at 128x352 with features at stride 8, depth supervision from lidar, each
pixel's viewing direction and ground depth as inputs, one head for all classes.
"""

from dataclasses import replace
from pathlib import Path

from lss_r50 import config as base

from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.data.classes import CLASSES
from bev.geometry import BevGrid
from bev.models import (
    BackboneConfig,
    BevEncoderConfig,
    CenterHeadConfig,
    DecodeConfig,
    DetectorConfig,
    FpnConfig,
    LiftSplatConfig,
)

config = replace(
    base,
    model=DetectorConfig(
        backbone=BackboneConfig(
            "resnet10t", pretrained=False, strides=(8, 16, 32), channels=(32, 64, 128, 192), stem=16
        ),
        neck=FpnConfig(channels=64),
        grid=BevGrid(x=(-51.2, 51.2, 0.8), y=(-51.2, 51.2, 0.8), z=(-3.0, 5.0, 8.0)),
        view=LiftSplatConfig(depth=(2.0, 58.0, 1.0), channels=48, hidden=96, ray_features=True),
        encoder=BevEncoderConfig(stages=(64, 96, 128), blocks=1, neck=96, channels=64),
        head=CenterHeadConfig(
            groups=(CLASSES,),
            branch=0,
            velocity_weight=0.2,
            decode=DecodeConfig(score=0.02, nms="circle", by_class=True, group_boxes=200),
        ),
        depth_weight=1.0,
        depth_loss="ce",
    ),
    data=replace(
        base.data,
        root=Path("data/synthetic-default"),
        version="v1.0-synthetic",
        image_size=(128, 352),
        image_augmentation=ImageAugmentation(
            scale=(-0.04, 0.06), flip="mirror", rotation=2.0, brightness=0.2, contrast=0.2
        ),
        bev_augmentation=BevAugmentation(rotation=22.5, flip_x=False, flip_y=False),
        lidar=True,
        batch_size=2,
        workers=0,
    ),
    train=replace(
        base.train, epochs=10, lr=3e-3, lr_batch=0, weight_decay=1e-2, schedule="cosine",
        devices=2, ema_start=0, validate_every=0,
    ),
)  # fmt: skip

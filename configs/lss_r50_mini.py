"""nuScenes-mini with ResNet-50, small enough for a CPU: a check that real frames are learnt.

Random weights and no augmentation, so that it runs offline and overfits: it checks the path from
real images to official metrics and is not meant for comparing methods. ImageNet weights are loaded
with ``--model.backbone.pretrained``. Measured: one real frame, 130 steps in 13 minutes on two CPU
cores without AMX, evaluated on itself: mAP 0.431, where the ground truth written as predictions
scores 0.500. Its BEV encoder is narrow and has no skip connection.
"""

from dataclasses import replace

from lss_r50 import config as base
from torch.optim.lr_scheduler import CosineAnnealingLR

from bev.data.augmentation import BevAugmentation, ImageAugmentation
from bev.models import BevEncoderConfig

config = replace(
    base,
    model=replace(
        base.model,
        backbone=replace(base.model.backbone, pretrained=False),
        encoder=BevEncoderConfig(stages=(96, 192, 384), neck=128, channels=64),
    ),
    data=replace(
        base.data,
        version="v1.0-mini",
        image_size=(128, 352),
        image_augmentation=ImageAugmentation.off(),
        bev_augmentation=BevAugmentation.off(),
        batch_size=1,
    ),
    train=replace(
        base.train,
        lr=5e-4,
        lr_batch=0,
        epochs=400,
        max_steps=400,
        warmup_steps=30,
        schedule=CosineAnnealingLR,
        validate_every=0,
        ema_start=0,
        log_every=10,
    ),
)

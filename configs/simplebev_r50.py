"""Simple-BEV's voxel sampling instead of lift-splat, ResNet-50, 256x704, one frame.

``lss_r50`` with the parameter-free bilinear sampling of Simple-BEV (Harley et al. 2022) as its view
transform, at eight heights as published, and with torchvision's first weights. Simple-BEV's own
task is vehicle segmentation; published by others on nuScenes val, IoU:

    Simple-BEV, ResNet-101, 448x800             47.4

Deviations: the task, the backbone's depth and the image size; features at stride 16, not 8; heights
from -3 to 5 m instead of -5 to 5 m; the BEV frame is the ego frame, not a camera's; coordinates are
not stretched by W / (W - 1); BEV encoder, norms, losses and training are those of ``lss_r50``. No
published detection figure compares. Measured here on nuScenes: nothing yet; no full data set was at
hand.
"""

from dataclasses import replace

from lss_r50 import config as base

from bev.models import VoxelSamplingConfig

view = VoxelSamplingConfig(z=(-3.0, 5.0, 1.0), channels=80)
backbone = replace(base.model.backbone, name="resnet50.tv_in1k")
config = replace(base, model=replace(base.model, backbone=backbone, view=view))

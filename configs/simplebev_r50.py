"""Simple-BEV's voxel sampling instead of lift-splat, ResNet-50, 256x704, one frame.

``lss_r50`` with the parameter-free bilinear sampling of Simple-BEV (Harley et al. 2022) as its view
transform, at eight heights as published. Simple-BEV's own task is vehicle segmentation; published
by others on nuScenes val, IoU:

    Simple-BEV, ResNet-101, 448x800             47.4

No published detection figure compares. Measured here on nuScenes: nothing yet; no full data set was
at hand.
"""

from dataclasses import replace

from lss_r50 import config as base

from bev.models import VoxelSamplingConfig

view = VoxelSamplingConfig(z=(-3.0, 5.0, 1.0), channels=80)
config = replace(base, model=replace(base.model, view=view))

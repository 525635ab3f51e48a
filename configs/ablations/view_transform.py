"""View transform: ways from image features to the BEV, with and without predicted depth."""

from dataclasses import replace

from lss_synthetic import config as base

from bev.config import Experiment
from bev.lab.ablation import Study
from bev.models import (
    CameraAwareDepthNetConfig,
    DualViewTransformConfig,
    UniformDepthConfig,
    ViewTransformConfig,
    VoxelSamplingConfig,
)


def with_view(config: Experiment, view: ViewTransformConfig) -> Experiment:
    """Replace the view transform; depth is supervised if the transform predicts it."""
    weight = 1.0 if view.predicts_depth else 0.0
    depth = replace(config.model.depth_supervision, weight=weight)
    model = replace(config.model, view=view, depth_supervision=depth)
    return replace(config, model=model, data=replace(config.data, lidar=view.predicts_depth))


def lift_splat(config: Experiment) -> Experiment:
    return with_view(config, config.model.view)


def uniform_depth(config: Experiment) -> Experiment:
    return with_view(config, replace(config.model.view, depth_net=UniformDepthConfig(hidden=128)))


def camera_aware(config: Experiment) -> Experiment:
    net = CameraAwareDepthNetConfig(width=64, blocks=1, aspp=False)
    return with_view(config, replace(config.model.view, depth_net=net))


def voxel_sampling(config: Experiment) -> Experiment:
    channels = config.model.view.channels
    return with_view(config, VoxelSamplingConfig(z=(-1.0, 3.0, 1.0), channels=channels))


def dual_view(config: Experiment) -> Experiment:
    return with_view(config, DualViewTransformConfig(lift=config.model.view, z=(-1.0, 3.0, 1.0)))


study = Study(
    base,
    {
        "lift-splat": lift_splat,
        "no depth loss": "--model.depth-supervision.weight 0",
        "uniform depth": uniform_depth,
        "camera-aware depth": camera_aware,
        "voxel sampling": voxel_sampling,
        "dual view": dual_view,
    },
)

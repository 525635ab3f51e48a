"""Shared helpers of this folder: small inputs of the published networks, and a comparison."""

from dataclasses import replace
from pathlib import Path

import torch

from bev.config import Experiment
from bev.data.batch import Batch
from bev.lab.benchmark.step import random_batch

CONFIGS = Path(__file__).parents[3] / "configs"
IMAGE = (64, 192)


def small(config: Experiment) -> Experiment:
    """The config with small images and a small grid, neither square nor centred."""
    grid = replace(config.model.grid, x=(-12.8, 19.2, 0.8), y=(-9.6, 9.6, 0.8))
    backbone = replace(config.model.backbone, pretrained=False)
    return replace(
        config,
        model=replace(config.model, grid=grid, backbone=backbone),
        data=replace(config.data, image_size=IMAGE, batch_size=1),
    )


def two_cameras(config: Experiment) -> Batch:
    """A random sample with two cameras of a real rig and a rotated BEV transform."""
    batch = random_batch(config, torch.device("cpu"))
    turn = torch.eye(4)
    turn[:2, :2] = torch.tensor([[0.96, -0.28], [0.28, 0.96]])
    turn[0, 3] = 0.37

    def pair(views):
        cameras = views.cameras[:, :2]
        return replace(views, images=views.images[:, :2], cameras=cameras)

    return replace(batch.map_views(pair), bev_from_ego=turn[None])


def assert_equal(ours, theirs, tolerance=1e-5):
    """Compare to ``tolerance`` times the largest absolute value."""
    atol = tolerance * theirs.abs().max().item()
    torch.testing.assert_close(ours.contiguous(), theirs.contiguous(), rtol=0, atol=atol)

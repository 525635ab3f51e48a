"""A batch of two synthetic samples with three cameras, and a small detector."""

import math
from dataclasses import replace

import pytest
import torch

from bev.data.batch import Batch, Views
from bev.data.nuscenes.classes import NUSCENES
from bev.geometry import (
    BevGrid,
    Boxes3D,
    Cameras,
    KannalaBrandt,
    Pinhole,
    image_affine,
    rigid_transform,
    rotation_z,
    stack_lenses,
)
from bev.models import (
    BackboneConfig,
    BevEncoderConfig,
    CenterHeadConfig,
    DepthBins,
    DetectorConfig,
    FpnConfig,
    LiftSplatConfig,
)

IMAGE = (64, 160)


@pytest.fixture()
def cameras() -> Cameras:
    """Three cameras 1.5 m above the ground, looking 0, 120 and 240 degrees to the left."""
    # Columns: where camera x (right), y (down) and z (forward) point in the ego frame.
    ego_from_forward_camera = torch.tensor([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    turns = torch.tensor([0.0, 2 * math.pi / 3, 4 * math.pi / 3])
    rotation = rotation_z(turns) @ ego_from_forward_camera
    ego_from_camera = rigid_transform(rotation, torch.tensor([0.5, 0.2, 1.5]).expand(3, 3))
    intrinsics = torch.tensor([[80.0, 0, 80], [0, 80, 32], [0, 0, 1]]).expand(3, 3, 3)
    affine = image_affine(IMAGE).float().expand(3, 3, 3)
    return Cameras(intrinsics, ego_from_camera, affine)[None][[0, 0]]


@pytest.fixture()
def wide(cameras: Cameras) -> Cameras:
    """The same cameras with fisheyes of 184 and 150 degrees as the second and third; the first
    camera of the second sample is a fisheye too. Corners of fisheye images are out of view."""
    one, two = (
        KannalaBrandt.make(numbers, math.radians(angle)).to(torch.float32)
        for numbers, angle in (((0.03, -0.006, 0, 0), 92), ((-0.02, 0.004, 0.001, 0), 75))
    )
    lenses = [stack_lenses(row) for row in ([Pinhole(), one, two], [two, one, two])]
    lens = stack_lenses([lens for row in lenses for lens in row.each(3)])
    scale = torch.diag(torch.tensor([0.6, 0.6, 1.0]))  # 48 pixels per radian, for all
    scale[:2, 2] = torch.tensor([32.0, 12.8])
    intrinsics = scale @ cameras.intrinsics
    return replace(
        cameras, intrinsics=intrinsics, lens=lens.map(lambda value: value.unflatten(0, (2, 3)))
    )


@pytest.fixture()
def batch(cameras: Cameras) -> Batch:
    generator = torch.Generator().manual_seed(0)
    boxes = Boxes3D.make(
        center=torch.tensor([[8.0, 3.0, 0.8], [15.0, -6.0, 1.0]]),
        size=torch.tensor([[4.5, 1.9, 1.6], [0.7, 0.7, 1.8]]),
        yaw=torch.tensor([0.3, -2.0]),
        velocity=torch.tensor([[5.0, 0.0], [torch.nan, torch.nan]]),
        label=torch.tensor([0, 8]),
    )
    images = torch.randint(0, 255, (2, 3, 3, *IMAGE), generator=generator, dtype=torch.uint8)
    return Batch(
        views=Views(images, cameras, ["one", "two"]),
        bev_from_ego=torch.eye(4).expand(2, 4, 4),
        boxes=[boxes, Boxes3D.empty()],
        lidar=[torch.randn(500, 3, generator=generator) * 10, torch.rand(300, 3) * 10],
        global_from_ego=torch.eye(4, dtype=torch.float64).expand(2, 4, 4),
    )


@pytest.fixture()
def small() -> DetectorConfig:
    return replace(
        DetectorConfig(labels=NUSCENES),
        backbone=BackboneConfig(
            "resnet10t", pretrained=False, strides=(8, 16), channels=(16, 16, 32, 32), stem=8
        ),
        neck=FpnConfig(16),
        grid=BevGrid(x=(-16.0, 24.0, 1.0), y=(-12.0, 20.0, 1.0), z=(-4.0, 4.0, 8.0)),
        view=LiftSplatConfig(depth=DepthBins(1.0, 25.0, 1.0), channels=8),
        encoder=BevEncoderConfig(stages=(16, 16, 16), blocks=1, neck=16, channels=16),
        head=CenterHeadConfig(shared=16, branch=8),
    )

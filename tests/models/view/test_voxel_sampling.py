"""Voxels sample the image features at the projections of their centres."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from einops import rearrange
from slow_sampling import read, sightings

from bev.errors import ConfigError
from bev.geometry import BevGrid, Cameras, bev_transform, feature_pixels
from bev.models import DepthSupervisionConfig, VoxelSamplingConfig
from bev.models.view.image_sampling import column_points

IMAGE = (64, 160)
GRID = BevGrid(x=(-16.0, 24.0, 2.0), y=(-12.0, 20.0, 2.0), z=(-4.0, 4.0, 8.0))
CONFIG = VoxelSamplingConfig(z=(-1.0, 3.0, 2.0), channels=2)
IDENTITY = torch.eye(4).expand(2, 4, 4)


def augmented(cameras: Cameras) -> tuple[Cameras, torch.Tensor]:
    """float64 cameras of rotated and scaled images, and a rotated, scaled and mirrored BEV."""
    affine = torch.tensor([[1.1, 0.05, -9.0], [-0.05, 1.1, 3.0], [0, 0, 1.0]])
    cameras = replace(cameras, image_from_original=affine @ cameras.image_from_original)
    cameras = cameras.to(torch.float64)
    # Rotations of float32 are not quite orthogonal: their transpose is no exact inverse.
    left, _, right = torch.linalg.svd(cameras.ego_from_camera[..., :3, :3])
    cameras.ego_from_camera[..., :3, :3] = left @ right
    bev_from_ego = bev_transform(rotation=0.3, scale=1.04, flip_y=True)
    return cameras, torch.stack([bev_from_ego, torch.eye(4)]).double()


@pytest.mark.parametrize("feature_size", [(8, 20), (7, 19), (1, 20)])
def test_agreement_with_a_loop_over_voxels(cameras, feature_size):
    """On padded and unpadded feature maps, under augmentation of images and BEV."""
    cameras, bev_from_ego = augmented(cameras)
    features = torch.randn(2, 3, 2, *feature_size, dtype=torch.float64)
    view = CONFIG.build(2, 8, GRID)
    found = view.sample(features, IMAGE, cameras, bev_from_ego)
    assert found.shape == (2, 2, 2, 16, 20)
    expected = torch.zeros_like(found)
    seen_by = np.zeros(4, int)
    for sample, iz, iy, ix in np.ndindex(2, 2, 16, 20):
        point = [-16 + 2 * (ix + 0.5), -12 + 2 * (iy + 0.5), -1 + 2 * (iz + 0.5)]
        values = [
            read(features[sample, camera], column, row)
            for camera, column, row, _ in sightings(
                point, cameras, sample, bev_from_ego[sample].numpy(), IMAGE, feature_size, 8
            )
        ]
        seen_by[len(values)] += 1
        if values:
            expected[sample, :, iz, iy, ix] = torch.stack(values).mean(0)
    assert (seen_by[:2] > 100).all()  # both occur often
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_a_worked_voxel(cameras):
    # Camera 0 stands at (0.5, 0.2, 1.5) and looks along +x, f = 80, centre (80, 32). The voxel at
    # (10.5, -2.3, 0.5) is 10 m deep: x = 80 + 80 * 2.5 / 10 = 100, y = 32 + 80 * 1 / 10 = 40. In
    # cells of 8 pixels, from the first centre: column 12, row 4.5: between rows 4 and 5.
    grid = BevGrid(x=(10.0, 11.0, 1.0), y=(-3.3, -1.3, 2.0))
    features = torch.zeros(2, 3, 1, 8, 20)
    features[0, 0, 0, 4, 12], features[0, 0, 0, 5, 12] = 3.0, 5.0
    features[0, 1:] = 100.0  # the other cameras look away
    view = VoxelSamplingConfig(z=(0.0, 1.0, 1.0), channels=1).build(1, 8, grid)
    found = view.sample(features, IMAGE, cameras, IDENTITY)
    torch.testing.assert_close(found.flatten(), torch.tensor([4.0, 0.0]), atol=1e-4, rtol=0)


def test_features_that_contain_their_pixel_give_the_projection(cameras):
    """Exact to a fraction of a pixel, for maps that fill the image and maps that do not."""
    for feature_size in ((8, 20), (7, 19)):
        pixels = feature_pixels(IMAGE, feature_size, 8)
        (left, top), (right, bottom) = pixels[0, 0].tolist(), pixels[-1, -1].tolist()
        for camera in range(3):
            alone = cameras[:, camera : camera + 1]
            features = rearrange(pixels, "h w xy -> 1 1 xy h w").expand(2, 1, -1, -1, -1)
            view = CONFIG.build(2, 8, GRID)
            found = view.sample(features.contiguous(), IMAGE, alone, IDENTITY)
            points = column_points(GRID, view.heights).view(-1, 3)
            expected, depth = alone.project(points.expand(2, 1, -1, 3))
            expected = rearrange(expected, "b 1 (y x z) xy -> b xy z y x", y=16, x=20)
            (x, y), depth = expected.unbind(1), rearrange(depth, "b 1 p -> b p")
            inner = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
            inner &= rearrange(depth, "b (y x z) -> b z y x", y=16, x=20) > 0.1
            assert inner.sum() > 50
            inner = inner.unsqueeze(1).expand_as(found)
            torch.testing.assert_close(found[inner], expected[inner], atol=1e-3, rtol=0)


def test_heights_are_folded_slowest(cameras):
    """Channel ``z * C + c`` of the input of ``reduce`` is channel c at height z."""
    view = VoxelSamplingConfig(z=(-1.0, 3.0, 2.0), channels=2).build(2, 8, GRID).eval()
    torch.nn.init.eye_(view.context.weight.data[:, :, 0, 0])
    torch.nn.init.zeros_(view.context.bias)
    convolution = view.reduce[0]
    torch.nn.init.zeros_(convolution.weight)
    convolution.weight.data[0, 2 * 1 + 0, 1, 1] = 1.0  # height 1, channel 0
    convolution.weight.data[1, 2 * 0 + 1, 1, 1] = 1.0  # height 0, channel 1
    features = torch.rand(2, 3, 2, 8, 20)
    bev = view(features, IMAGE, cameras, IDENTITY).bev
    volume = view.sample(features, IMAGE, cameras, IDENTITY)
    expected = torch.stack([volume[:, 0, 1], volume[:, 1, 0]], dim=1)
    torch.testing.assert_close(bev, expected, atol=1e-4, rtol=1e-4)  # batch norm's epsilon


def test_a_mirrored_scene_gives_a_mirrored_bev(cameras):
    view = CONFIG.build(4, 8, GRID).eval()
    features = torch.randn(2, 3, 4, 8, 20)
    plain = view.sample(view_context(view, features), IMAGE, cameras, IDENTITY)
    flip = torch.tensor([[-1.0, 0, 160], [0, 1, 0], [0, 0, 1]])
    flipped = replace(cameras, image_from_original=flip @ cameras.image_from_original)
    mirror = bev_transform(flip_y=True)
    mirror[1, 3] = 8.0  # about the grid's own middle, where rows reverse
    mirrored = view.sample(
        view_context(view, features.flip(-1)), IMAGE, flipped, mirror.expand(2, 4, 4)
    )
    torch.testing.assert_close(mirrored.flip(-2), plain, atol=1e-4, rtol=1e-4)


def view_context(view, features):
    return view.context(features.flatten(0, 1)).unflatten(0, features.shape[:2])


def test_gradients_equal_finite_differences(cameras):
    cameras, bev_from_ego = augmented(cameras)
    grid = BevGrid(x=(2.0, 14.0, 4.0), y=(-6.0, 2.0, 4.0))
    view = CONFIG.build(1, 16, grid)
    features = torch.randn(2, 3, 1, 4, 10, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda f: view.sample(f, IMAGE, cameras, bev_from_ego), features
    )


def test_a_grid_that_no_camera_sees_is_empty_and_still_trains(cameras):
    grid = BevGrid(x=(2.0, 14.0, 4.0), y=(-6.0, 2.0, 4.0))
    view = VoxelSamplingConfig(z=(200.0, 202.0, 1.0), channels=2).build(2, 8, grid)
    features = torch.randn(2, 3, 2, 8, 20)
    assert not view.sample(view_context(view, features), IMAGE, cameras, IDENTITY).any()
    view(features, IMAGE, cameras, IDENTITY).bev.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in view.parameters())


def test_autocast_does_not_affect_the_geometry(cameras):
    features = torch.randn(2, 3, 2, 8, 20)
    view = CONFIG.build(2, 8, GRID)
    exact = view.sample(features, IMAGE, cameras, IDENTITY)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = view.sample(features.bfloat16(), IMAGE, cameras, IDENTITY)
    torch.testing.assert_close(exact, mixed, atol=0.02, rtol=0.02)


def test_the_detector_trains_every_parameter_and_predicts_no_depth(batch, small):
    config = replace(small, view=VoxelSamplingConfig(z=(-1.0, 3.0, 2.0), channels=8))
    model = config.build()
    assert model(batch).features.depth_logits is None
    sum(model.loss(batch).values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    with pytest.raises(ConfigError, match=r"depth_supervision.weight = 1.0 .* predicts none"):
        replace(config, depth_supervision=DepthSupervisionConfig(1.0)).build()
    with pytest.raises(ConfigError, match=r"view.z = \(0.0, 5.0, 2.0\) needs"):
        VoxelSamplingConfig(z=(0.0, 5.0, 2.0))

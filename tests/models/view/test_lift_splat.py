"""Lift-splat puts image features into the BEV cells that the geometry gives."""

import pytest
import torch

from bev.geometry import BevGrid, bev_transform, feature_pixels
from bev.models.heads.depth import nearest_depth
from bev.models.view.depth_bins import DepthBins
from bev.models.view.lift_splat import LiftSplat, LiftSplatConfig, frustum_points, ray_features

IMAGE = (64, 160)
GRID = BevGrid(x=(-16.0, 24.0, 1.0), y=(-12.0, 20.0, 1.0), z=(-4.0, 4.0, 8.0))


def test_frustum_points_project_back_to_their_pixels(cameras):
    pixels = feature_pixels(IMAGE, (8, 20), 8)
    depths = torch.tensor([2.0, 7.5, 30.0])
    points = frustum_points(pixels, depths, cameras, torch.eye(4).expand(2, 4, 4))
    assert points.shape == (2, 3, 3, 8, 20, 3)
    found, depth = cameras.project(points.reshape(2, 3, -1, 3))
    expected = pixels.reshape(1, 1, 1, -1, 2).expand(2, 3, 3, -1, 2).reshape(2, 3, -1, 2)
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(depth, depths.repeat_interleave(160).expand(2, 3, -1))


def one_hot_transform(camera_pixel, bin_index):
    """A lift-splat whose depth net predicts one bin everywhere and passes the context through."""
    config = LiftSplatConfig(depth=DepthBins(1.0, 25.0, 1.0), channels=1)
    view = LiftSplat(config, 1, 8, GRID)
    conv = view.depth_net.layers[-1]
    torch.nn.init.zeros_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    conv.bias.data[bin_index] = 50.0
    conv.weight.data[config.depth.bins, 0] = 1.0
    features = torch.zeros(2, 3, 1, 8, 20)
    camera, row, column = camera_pixel
    features[0, camera, 0, row, column] = 1.0
    return view, features


def test_a_feature_is_pooled_into_the_worked_cell(cameras):
    # Camera 0 looks along +x from (0.5, 0.2, 1.5) with f = 80 and centre (80, 32). Column 4 looks
    # at x = 36, row 5 at y = 44; bin 9 is at depth 10.5 m. So ego x = 11.0, and
    # y = 0.2 - 10.5 * (36 - 80) / 80 = 5.975; z = 1.5 - 10.5 * 12 / 80 = -0.075.
    view, features = one_hot_transform((0, 5, 4), 9)
    bev = view(features, IMAGE, cameras, torch.eye(4).expand(2, 4, 4)).bev
    assert bev.shape == (2, 1, 32, 40)
    row, column = int(5.975 + 12), int(11.0 + 16)
    assert bev[0, 0].argmax() == row * 40 + column
    torch.testing.assert_close(bev.sum(), torch.tensor(1.0))


def test_bev_augmentation_moves_the_features(cameras):
    view, features = one_hot_transform((0, 5, 4), 9)
    flipped = bev_transform(flip_y=True).expand(2, 4, 4)
    bev = view(features, IMAGE, cameras, flipped).bev
    assert bev[0, 0].argmax() == int(-5.975 + 12) * 40 + int(11.0 + 16)


def test_ray_features_contain_the_nearness_of_the_ground(cameras):
    rays = ray_features(feature_pixels(IMAGE, (8, 20), 8), cameras, torch.eye(4).expand(2, 4, 4))
    assert rays.shape == (2, 3, 4, 8, 20)
    torch.testing.assert_close(rays[:, :, :3].norm(dim=2), torch.ones(2, 3, 8, 20))
    # Row 5 (y = 44) meets the ground at depth 1.5 * 80 / 12 = 10 m; row 0 looks up.
    torch.testing.assert_close(rays[0, 0, 3, 5], torch.ones(20), atol=1e-5, rtol=0)
    assert not rays[:, :, 3, 0].any()
    assert rays[0, 0, 0].min() > 0.5 and rays[0, 1, 0, :, 10].max() < 0  # camera 1 looks back left


@pytest.mark.parametrize("scale", [0.95, 1.05])
def test_bev_augmentation_does_not_change_the_nearness_of_the_ground(cameras, scale):
    """Only the directions rotate with the BEV, and they keep unit length."""
    pixels = feature_pixels(IMAGE, (8, 20), 8)
    matrix = bev_transform(rotation=0.3, scale=scale, flip_y=True)
    plain, augmented = (
        ray_features(pixels, cameras, m.expand(2, 4, 4)) for m in (torch.eye(4), matrix)
    )
    torch.testing.assert_close(augmented[:, :, 3], plain[:, :, 3])
    turned = torch.einsum("ij,bnjhw->bnihw", matrix[:3, :3] / scale, plain[:, :, :3])
    torch.testing.assert_close(augmented[:, :, :3], turned)


def test_autocast_does_not_affect_the_geometry(cameras):
    """bfloat16 has 8 bits: a far point computed in it would be cells away."""
    view, features = one_hot_transform((0, 5, 4), 21)
    bev_from_ego = torch.eye(4).expand(2, 4, 4)
    exact = view(features, IMAGE, cameras, bev_from_ego).bev
    points = [cameras[0, 0].unproject(torch.tensor([[33.0, 21.0]]), torch.tensor([23.45]))] * 2
    nearest = nearest_depth(points, cameras, IMAGE, (8, 20), 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = view(features, IMAGE, cameras, bev_from_ego).bev
        torch.testing.assert_close(nearest_depth(points, cameras, IMAGE, (8, 20), 8), nearest)
    assert exact[0, 0].argmax() == mixed[0, 0].argmax()
    torch.testing.assert_close(exact, mixed.float(), atol=0.02, rtol=0)

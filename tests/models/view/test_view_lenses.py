"""View transforms with fisheyes, and with a rig of fisheyes and pinholes."""

import math

import numpy as np
import pytest
import torch
from slow_sampling import looked_at, read, sightings

from bev.geometry import BevGrid, Boxes3D, bev_transform, feature_pixels
from bev.models import DualViewTransformConfig, VoxelSamplingConfig
from bev.models.heads.depth import nearest_depth
from bev.models.heads.image import image_heatmaps
from bev.models.view.depth_bins import DepthBins
from bev.models.view.lift_splat import (
    LiftSplatConfig,
    frustum_points,
    ground_nearness,
    ray_features,
)

IMAGE = (64, 160)
GRID = BevGrid(x=(-16.3, 23.7, 1.0), y=(-12.1, 19.9, 1.0), z=(-4.1, 3.9, 8.0))
IDENTITY = torch.eye(4).expand(2, 4, 4)
DEPTH = DepthBins(1.0, 21.0, 4.0)


def exact(cameras):
    """The cameras in float64, with rotations that are orthogonal to that precision."""
    cameras = cameras.to(torch.float64)
    left, _, right = torch.linalg.svd(cameras.ego_from_camera[..., :3, :3])
    cameras.ego_from_camera[..., :3, :3] = left @ right
    return cameras


def test_lift_splat_agrees_with_a_loop_over_pixels(wide):
    """The loop unprojects every pixel by bisection and adds each of its bins to a cell."""
    bev_from_ego = torch.stack([bev_transform(rotation=0.3, flip_y=True), torch.eye(4)])
    view = LiftSplatConfig(depth=DEPTH, channels=2).build(3, 16, GRID)
    features = torch.randn(2, 3, 3, 4, 10)
    with torch.no_grad():
        found = view(features, IMAGE, wide, bev_from_ego).bev.numpy()
        logits, context = view.depth_net(features, IMAGE, wide, bev_from_ego)
    weight, context = logits.softmax(-1).numpy(), context.numpy()
    image_from_plane = wide.image_from_camera.double().numpy()
    bev_from_camera = (bev_from_ego.unsqueeze(1) @ wide.ego_from_camera).double().numpy()
    expected, lifted = np.zeros_like(found), 0
    for b, n in np.ndindex(2, 3):
        lens = wide[b].lens.each(3)[n]
        for row, column in np.ndindex(4, 10):
            pixel = [16 * column + 8, 16 * row + 8, 1.0]
            ray = looked_at(lens, *np.linalg.solve(image_from_plane[b, n], pixel)[:2])
            if ray is None:
                continue
            for d, depth in enumerate(DEPTH.centers().tolist()):
                x, y, z, _ = bev_from_camera[b, n] @ [*(ray * depth), 1]
                ix, iy = math.floor(x + 16.3), math.floor(y + 12.1)
                if 0 <= ix < 40 and 0 <= iy < 32 and -4.1 <= z < 3.9:
                    given = weight[b, n, row, column, d] * context[b, n, :, row, column]
                    expected[b, :, iy, ix] += given
                    lifted += 1
    assert lifted > 300
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sampling_agrees_with_a_loop_over_voxels(wide):
    wide = exact(wide)
    bev_from_ego = torch.stack([bev_transform(rotation=0.3, flip_y=True), torch.eye(4)]).double()
    grid = BevGrid(x=(-16.0, 24.0, 4.0), y=(-12.0, 20.0, 4.0))
    view = VoxelSamplingConfig(z=(0.0, 1.0, 1.0), channels=2).build(2, 8, grid)
    features = torch.randn(2, 3, 2, 8, 20, dtype=torch.float64)
    found = view.sample(features, IMAGE, wide, bev_from_ego)
    expected, seen_by = torch.zeros_like(found), np.zeros(4, int)
    for sample, iy, ix in np.ndindex(2, 8, 10):
        point = [-16 + 4 * (ix + 0.5), -12 + 4 * (iy + 0.5), 0.5]
        values = [
            read(features[sample, camera], column, row)
            for camera, column, row, _ in sightings(
                point, wide, sample, bev_from_ego[sample].numpy(), IMAGE, (8, 20), 8
            )
        ]
        seen_by[len(values)] += 1
        if values:
            expected[sample, :, 0, iy, ix] = torch.stack(values).mean(0)
    assert seen_by[1] > 50 and seen_by[2] > 5
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_frustum_points_project_back_to_their_pixels_and_depths(wide):
    pixels, depths = feature_pixels(IMAGE, (8, 20), 8), torch.tensor([2.0, 7.5, 30.0])
    points = frustum_points(pixels, depths, wide, IDENTITY)
    found, depth = wide.project(points.reshape(2, 3, -1, 3))
    seen = points.reshape(2, 3, -1, 3).isfinite().all(-1)
    assert seen[0, 0].all() and 0.6 < seen[:, 1].float().mean() < 1
    expected = pixels.reshape(1, 1, 1, -1, 2).expand(2, 3, 3, -1, 2).reshape(2, 3, -1, 2)
    torch.testing.assert_close(found[seen], expected[seen], atol=1e-3, rtol=0)
    torch.testing.assert_close(depth[seen], depths.repeat_interleave(160).expand(2, 3, -1)[seen])


def test_no_network_receives_nan(wide):
    pixels = feature_pixels(IMAGE, (8, 20), 8)
    rays = ray_features(pixels, wide, IDENTITY)
    points = frustum_points(pixels, DEPTH.centers(), wide, IDENTITY)
    nowhere = points.isnan().any(-1)
    assert nowhere.any() and rays.isfinite().all()
    unit = rays[:, :, :3].norm(dim=2)
    blind = nowhere[:, :, 0]
    assert not rays.movedim(2, -1)[blind].any()
    torch.testing.assert_close(unit[~blind], torch.ones_like(unit[~blind]))
    nearness = ground_nearness(points)
    assert nearness.isfinite().all() and not nearness[nowhere].any()


def test_ray_features_contain_the_nearness_of_the_ground(wide):
    """Also along rays of a fisheye: ten metres divided by the distance."""
    pixels = feature_pixels(IMAGE, (8, 20), 8)
    inverse = ray_features(pixels, wide, IDENTITY)[:, :, 3].flatten(2)
    rays = wide.rays(pixels.view(1, 1, -1, 2).expand(2, 3, -1, -1))
    down = (inverse > 0) & (inverse < 5)
    depth = torch.where(down, 10 / inverse, 1.0)
    flat = pixels.view(1, 1, -1, 2).expand(2, 3, -1, -1)
    ground = wide.unproject(flat, depth)[down]
    assert down[:, 1].any() and rays[down].isfinite().all()
    torch.testing.assert_close(ground[:, 2], torch.zeros(len(ground)), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "config",
    [
        LiftSplatConfig(depth=DEPTH, channels=4, ray_features=True),
        DualViewTransformConfig(LiftSplatConfig(depth=DEPTH, channels=4), z=(-1.0, 3.0, 2.0)),
        VoxelSamplingConfig(z=(-1.0, 3.0, 2.0), channels=4),
    ],
    ids=["lift", "refined", "sampling"],
)
def test_every_view_transform_learns_with_fisheyes(wide, config):
    """Output and gradients are finite, also with the second camera's view of 184 degrees."""
    view = config.build(3, 8, GRID)
    features = torch.randn(2, 3, 3, 8, 20, requires_grad=True)
    bev = view(features, IMAGE, wide, IDENTITY).bev
    bev.square().sum().backward()
    assert bev.isfinite().all() and features.grad.isfinite().all() and features.grad.any()
    assert all(p.grad.isfinite().all() for p in view.parameters() if p.grad is not None)


def test_lidar_depth_of_a_fisheye_is_the_distance(wide):
    """The second camera, a fisheye, measures the distance; a pinhole measures z."""
    origin = wide.ego_from_camera[0, 1, :3, 3]
    point = origin + 9 * wide.ego_from_camera[0, 1, :3, :3] @ torch.tensor([0.96, 0.0, -0.02])
    nearest = nearest_depth([point[None], point[None]], wide, IMAGE, (8, 20), 8)
    seen = nearest[0, 1].isfinite()
    assert seen.sum() == 1  # though it lies behind the camera's plane
    assert nearest[0, 1][seen].item() == pytest.approx(9 * math.hypot(0.96, 0.02), rel=1e-5)


def test_the_image_loss_marks_the_projected_centres(wide):
    """A box beside the fisheye is marked at its projected centre; one out of view is not."""
    second = wide[0, 1].ego_from_camera
    side, behind = (
        second[:3, 3] + second[:3, :3] @ torch.tensor(v) for v in ([7.0, 0.3, 1.0], [2.0, 0, -7.0])
    )
    for center, count in ((side, 1), (behind, 0)):
        boxes = Boxes3D.make(center[None], torch.ones(1, 3), torch.zeros(1))
        heatmaps = image_heatmaps(boxes, 10, wide[0], IMAGE, (8, 20), 8)
        peaks = (heatmaps[1, 0] == 1).nonzero()
        assert len(peaks) == count
        if count:
            pixels, _ = wide[0, 1].project(center[None])
            assert peaks[0].tolist() == (pixels[0].flip(0) / 8).floor().int().tolist()

"""Depth supervision: the nearest lidar depth of each cell, and the depth loss."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bev.models.heads.depth import depth_loss, nearest_depth
from bev.models.view.depth_bins import DepthBins

IMAGE = (64, 160)


def test_the_nearest_lidar_point_counts(cameras):
    # Two points on one ray of camera 0 (pixel 100, 20), one behind the camera.
    pixel, depths = torch.tensor([[100.0, 20.0]]), torch.tensor([9.0, 5.0])
    points = cameras[0, 0].unproject(pixel.expand(2, 2), depths)
    points = torch.cat([points, torch.tensor([[-5.0, 0.2, 1.5]])])
    nearest = nearest_depth([points, torch.zeros(0, 3)], cameras, IMAGE, (8, 20), 8)
    assert nearest.shape == (2, 3, 8, 20)
    assert nearest[0, 0, 2, 12] == 5.0
    assert nearest[0, 0].isfinite().sum() == 1
    assert not nearest[1].isfinite().any()


def test_the_depth_loss_favours_the_correct_bin():
    nearest = torch.full((1, 1, 2, 2), torch.inf)
    nearest[0, 0, 0, 1] = 3.7  # bin 2 of [1, 2), [2, 3), [3, 4)
    for kind in ("bce", "ce", "focal"):
        logits = torch.zeros(1, 1, 2, 2, 3, requires_grad=True)
        depth_loss(logits, nearest, DepthBins(1.0, 4.0, 1.0), kind).backward()
        assert logits.grad[0, 0, 0, 1, 2] < 0 < logits.grad[0, 0, 0, 1, 0]
        assert logits.grad.count_nonzero() == 3
        nothing = torch.full_like(nearest, torch.inf)
        assert depth_loss(logits, nothing, DepthBins(1.0, 4.0, 1.0), kind) == 0


def slow_nearest(points, cameras, rows, columns, stride):
    """Nearest depth of each cell, point by point in float64."""
    nearest = np.full((len(points), cameras.intrinsics.shape[1], rows, columns), np.inf)
    for sample, camera in np.ndindex(nearest.shape[:2]):
        camera_from_ego = np.linalg.inv(cameras.ego_from_camera[sample, camera].double().numpy())
        image = cameras.image_from_original[sample, camera].double().numpy()
        image = image @ cameras.intrinsics[sample, camera].double().numpy()
        for point in points[sample].double().numpy():
            x, y, z = (camera_from_ego @ [*point, 1])[:3]
            if z <= 0.1:
                continue
            u, v, _ = image @ [x / z, y / z, 1]
            row, column = math.floor(v / stride), math.floor(u / stride)
            if 0 <= row < rows and 0 <= column < columns:
                here = (sample, camera, row, column)
                nearest[here] = min(nearest[here], z)
    return nearest


def slow_loss(logits, nearest, edges, kind):
    """Depth loss, cell by cell in float64."""
    total, cells = 0.0, 0
    for sample, camera, row, column in np.ndindex(nearest.shape):
        depth = nearest[sample, camera, row, column]
        own = logits[sample, camera, row, column]
        probability = np.exp(own - own.max())
        probability /= probability.sum()
        for index in range(len(own)):
            if edges[index] <= depth < edges[index + 1]:
                cells += 1
                others = np.delete(probability, index)
                focal = (1 - probability[index]) ** 2 if kind == "focal" else 1.0
                total -= focal * np.log(probability[index])
                total -= np.log(1 - others).sum() if kind == "bce" else 0.0
    return total / max(cells, 1)


@pytest.mark.parametrize("spacing", ["uniform", "log", "linear"])
def test_depths_and_losses_agree_with_slow_versions(spacing, batch):
    bins = DepthBins(1.0, 25.0, 2.0, spacing)
    affine = torch.tensor([[0.9, 0.1, 4.0], [-0.1, 0.9, 2.0], [0, 0, 1]])
    cameras = replace(
        batch.views.cameras, image_from_original=affine @ batch.views.cameras.image_from_original
    )
    expected = slow_nearest(batch.lidar, cameras, 8, 20, 8)
    nearest = nearest_depth(batch.lidar, cameras, IMAGE, (8, 20), 8)
    torch.testing.assert_close(nearest.double(), torch.tensor(expected), atol=1e-4, rtol=0)
    logits = torch.randn(2, 3, 8, 20, 12, generator=torch.Generator().manual_seed(1))
    for kind in ("bce", "ce", "focal"):
        slow = slow_loss(logits.double().numpy(), expected, bins.edges().tolist(), kind)
        assert slow > 0
        assert depth_loss(logits, nearest, bins, kind).item() == pytest.approx(slow, rel=1e-4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = depth_loss(logits, nearest, bins, kind)
        assert mixed.dtype == torch.float32 and mixed.item() == pytest.approx(slow, rel=1e-4)

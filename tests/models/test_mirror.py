"""Test-time mirroring: the mirror of the mirror is the scene, for batches and for maps."""

from dataclasses import replace

import pytest
import torch

from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D, bev_transform
from bev.models.center_decode import DecodeConfig, decode
from bev.models.center_head import GroupOutput
from bev.models.center_targets import center_targets
from bev.models.mirror import averaged, mirrored, mirrored_back

GRID = BevGrid(x=(-10.0, 30.0, 0.8), y=(-16.0, 16.0, 0.8))


def perfect_output(boxes):
    targets = center_targets([boxes], [0, 8], GRID)
    regression = torch.zeros(1, 10, *GRID.shape[1:])
    sample, row, column = targets.index.unbind(1)
    regression[sample, :, row, column] = targets.regression
    attribute = torch.zeros(1, 8, *GRID.shape[1:])
    attribute[sample, targets.attribute, row, column] = 1.0
    return GroupOutput(torch.logit(targets.heatmap, eps=1e-6), regression, attribute)


def test_maps_of_the_mirrored_truth_mirror_back_to_the_truth():
    truth = Boxes3D.make(
        center=torch.tensor([[5.1, 7.3, 0.5], [20.2, -3.7, 1.0]]),
        size=torch.tensor([[4.5, 1.9, 1.6], [0.7, 0.6, 1.8]]),
        yaw=torch.tensor([0.4, -2.5]),
        velocity=torch.tensor([[3.0, 1.0], [-0.5, 0.8]]),
        label=torch.tensor([0, 8]),
        attribute=torch.tensor([7, 3]),
    )
    back = mirrored_back(perfect_output(truth.transform(bev_transform(flip_y=True))))
    both = averaged(back, perfect_output(truth))
    for output in (back, both):
        maps, config = output.heatmap, DecodeConfig(score=0.5)
        (found,) = decode(maps, output.regression, [0, 8], GRID, config, output.attribute)
        found = found[found.label.argsort()]
        assert found.label.tolist() == [0, 8] and found.attribute.tolist() == [7, 3]
        for name in ("center", "size", "velocity"):
            torch.testing.assert_close(
                getattr(found, name), getattr(truth, name), atol=1e-3, rtol=0
            )
        assert torch.sin((found.yaw - truth.yaw) / 2).abs().max() < 1e-3


def test_the_mirror_of_the_mirror_is_the_batch(batch):
    again = mirrored(mirrored(batch))
    assert torch.equal(again.images, batch.images)
    torch.testing.assert_close(again.cameras.image_from_camera, batch.cameras.image_from_camera)
    torch.testing.assert_close(again.bev_from_ego, batch.bev_from_ego)
    once = mirrored(batch)
    assert once.boxes[0].center[0, 1] == -batch.boxes[0].center[0, 1]
    # A point keeps its image row, and its column is mirrored.
    points = torch.tensor([8.0, 1.0, 0.5]).expand(2, 3, 1, 3)
    before, after = batch.cameras.project(points)[0], once.cameras.project(points)[0]
    torch.testing.assert_close(after[..., 1], before[..., 1])
    torch.testing.assert_close(after[..., 0], 160 - before[..., 0], atol=1e-3, rtol=1e-5)


def test_a_mirrored_scene_gives_mirrored_boxes(batch, small):
    """With both opinions averaged, the network cannot tell a scene from its mirror image."""
    grid = replace(small.grid, y=(-16.0, 16.0, 1.0))
    decode_all = replace(small.head.decode, score=0.0, nms="none", peaks=20)
    config = replace(
        small, grid=grid, test_mirror=True, head=replace(small.head, decode=decode_all)
    )
    model = config.build().eval()
    plain, other = model.detect(batch)[0], model.detect(mirrored(batch))[0]
    other = other.transform(bev_transform(flip_y=True))
    best = plain[:5]
    nearest = torch.cdist(best.center, other.center).min(dim=1).values
    assert nearest.max() < 0.05
    with pytest.raises(ConfigError, match="symmetric in y"):
        replace(small, test_mirror=True).build()


def test_mixed_precision_leaves_the_mirror_exact(batch):
    exact = mirrored(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = mirrored(batch)
    assert torch.equal(mixed.cameras.image_from_original, exact.cameras.image_from_original)
    assert torch.equal(mixed.bev_from_ego, exact.bev_from_ego)
    assert torch.equal(mixed.boxes[0].yaw, exact.boxes[0].yaw)

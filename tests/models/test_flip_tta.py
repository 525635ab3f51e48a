"""Flip test-time augmentation: flipped batches, flipped maps, and their average."""

import math
from dataclasses import replace

import pytest
import torch
from perfect import perfect_output

from bev.data.nuscenes.classes import NUSCENES
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D, bev_transform
from bev.models.flip_tta import flipped
from bev.models.heads.center.decode import DecodeConfig, decode
from bev.models.heads.center.flip import averaged, flipped_back
from bev.models.heads.center.targets import REGRESSION, TaskOutput, center_targets

GRID = BevGrid(x=(-10.0, 30.0, 0.8), y=(-16.0, 16.0, 0.8))


def perfect(boxes, direction_bins):
    (targets,) = center_targets([boxes], [[0, 8]], GRID, direction_bins=direction_bins)
    return perfect_output(targets, direction_bins)


@pytest.mark.parametrize("direction_bins", [1, 7, 8])
def test_maps_of_flipped_ground_truth_flip_back_to_the_ground_truth(direction_bins):
    gt_boxes = Boxes3D.make(
        center=torch.tensor([[5.1, 7.3, 0.5], [20.2, -3.7, 1.0]]),
        size=torch.tensor([[4.5, 1.9, 1.6], [0.7, 0.6, 1.8]]),
        yaw=torch.tensor([0.4, -2.5]),
        velocity=torch.tensor([[3.0, 1.0], [-0.5, 0.8]]),
        label=torch.tensor([0, 8]),
        attribute=torch.tensor([7, 3]),
    )
    back = flipped_back(perfect(gt_boxes.transform(bev_transform(flip_y=True)), direction_bins))
    both = averaged(back, perfect(gt_boxes, direction_bins))
    for output in (back, both):
        config = DecodeConfig(score=0.5).resolved(NUSCENES)
        (found,) = decode(output, ("car", "pedestrian"), NUSCENES, GRID, config)
        found = found[found.label.argsort()]
        assert found.label.tolist() == [0, 8] and found.attribute.tolist() == [7, 3]
        for name in ("center", "size", "velocity"):
            torch.testing.assert_close(
                getattr(found, name), getattr(gt_boxes, name), atol=1e-3, rtol=0
            )
        assert torch.sin((found.yaw - gt_boxes.yaw) / 2).abs().max() < 1e-3


def test_headings_of_different_direction_bins_are_not_averaged():
    """One output has bin 0 and 22 degrees left, the other bin 1 and 22 right, at a border."""
    left, right = (torch.tensor(math.radians(a)) for a in (22.0, -22.0))

    def output_of(direction, turn):
        widths = {"heatmap": 2, **REGRESSION, "attribute": 0}
        maps = {name: torch.zeros(1, width, 1, 1) for name, width in widths.items()}
        maps["heading"] = torch.stack([turn.sin(), turn.cos()]).view(1, 2, 1, 1)
        return TaskOutput(**maps, direction=torch.tensor(direction).view(1, -1, 1, 1))

    first = output_of([3.0, 2.0] + [0.0] * 6, left)
    second = output_of([0.0, 4.0] + [0.0] * 6, right)  # the more confident one
    for one, two in ((first, second), (second, first)):
        both = averaged(one, two)
        assert both.direction.argmax() == 1
        for name in REGRESSION:
            torch.testing.assert_close(getattr(both, name), getattr(second, name))
    agreed = averaged(output_of([3.0, 2.0], left), output_of([3.0, 2.0], -left))
    heading = torch.stack([torch.zeros(()), left.cos()])
    torch.testing.assert_close(agreed.heading[0, :, 0, 0], heading)


@pytest.mark.parametrize("rig", ["cameras", "wide"])
def test_flipping_twice_gives_the_batch(batch, rig, request):
    """For any lens, because the flip applies to the image."""
    views = replace(batch.views, cameras=request.getfixturevalue(rig))
    batch = replace(batch, views=views)
    again = flipped(flipped(batch))
    assert torch.equal(again.views.images, batch.views.images)
    torch.testing.assert_close(
        again.views.cameras.image_from_camera, batch.views.cameras.image_from_camera
    )
    torch.testing.assert_close(again.bev_from_ego, batch.bev_from_ego)
    once = flipped(batch)
    assert once.boxes[0].center[0, 1] == -batch.boxes[0].center[0, 1]
    # A point keeps its image row, and its column is mirrored.
    points = torch.tensor([[8.0, 1.0, 0.5], [-5.0, 7.0, 1.0]]).expand(2, 3, 2, 3)
    before, after = batch.views.cameras.project(points)[0], once.views.cameras.project(points)[0]
    assert torch.equal(batch.views.cameras.project(points)[1] > 0,
                       once.views.cameras.project(points)[1] > 0)  # fmt: skip
    torch.testing.assert_close(after[..., 1], before[..., 1])
    torch.testing.assert_close(after[..., 0], 160 - before[..., 0], atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("rig", ["cameras", "wide"])
def test_flip_tta_of_a_flipped_scene_flips_the_boxes(batch, small, rig, request):
    """The average of both outputs makes the detector symmetric under flips."""
    batch = replace(batch, views=replace(batch.views, cameras=request.getfixturevalue(rig)))
    grid = replace(small.grid, y=(-16.0, 16.0, 1.0))
    decode_all = replace(small.head.decode, score=0.0, nms="none", pre_max_size=20)
    config = replace(small, grid=grid, flip_tta=True, head=replace(small.head, decode=decode_all))
    model = config.build().eval()
    plain, other = model.detect(batch)[0], model.detect(flipped(batch))[0]
    other = other.transform(bev_transform(flip_y=True))
    best = plain[:5]
    nearest = torch.cdist(best.center, other.center).min(dim=1).values
    assert nearest.max() < 0.05
    with pytest.raises(ConfigError, match="symmetric in y"):
        replace(small, flip_tta=True).build()


def test_autocast_does_not_affect_the_flip(batch):
    exact = flipped(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = flipped(batch)
    assert torch.equal(
        mixed.views.cameras.image_from_original, exact.views.cameras.image_from_original
    )
    assert torch.equal(mixed.bev_from_ego, exact.bev_from_ego)
    assert torch.equal(mixed.boxes[0].yaw, exact.boxes[0].yaw)

"""Geometry is kept while its inputs are equal, and never longer."""

from dataclasses import replace

import pytest
import torch

from bev.geometry import BevGrid, bev_transform
from bev.models import (
    DepthBins,
    DualViewTransformConfig,
    LiftSplatConfig,
    VoxelSamplingConfig,
)
from bev.models.view.kept import KeptGeometry

IMAGE = (64, 160)
GRID = BevGrid(x=(-16.0, 24.0, 2.0), y=(-12.0, 20.0, 2.0), z=(-4.0, 4.0, 8.0))
LIFT = LiftSplatConfig(DepthBins(1.0, 25.0, 4.0), channels=4, ray_features=True)
EYE = torch.eye(4).expand(2, 4, 4)


class _Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self, *inputs):
        self.calls += 1
        return self.calls


def test_equal_inputs_are_computed_once(cameras, wide):
    kept, compute = KeptGeometry(), _Counting()
    assert [kept.get(compute, IMAGE, rig, EYE) for rig in (cameras, wide, cameras)] == [1, 2, 1]
    copy = replace(cameras, intrinsics=cameras.intrinsics.clone())
    assert kept.get(compute, IMAGE, copy, EYE) == 1
    for number, changed in enumerate(
        [
            replace(cameras, intrinsics=cameras.intrinsics + 1e-4),
            replace(cameras, ego_from_camera=cameras.ego_from_camera.double()),
            cameras[:1],
        ],
        start=3,
    ):
        assert kept.get(compute, IMAGE, changed, EYE) == number
    assert kept.get(compute, (64, 161), cameras, EYE) == 6


def test_inputs_that_change_in_place_are_noticed(cameras):
    kept, compute = KeptGeometry(), _Counting()
    intrinsics = cameras.intrinsics.clone()
    rig = replace(cameras, intrinsics=intrinsics)
    assert kept.get(compute, rig) == 1
    intrinsics += 1
    assert kept.get(compute, rig) == 2


def test_the_least_recently_used_is_dropped():
    kept, compute = KeptGeometry(limit=2), _Counting()
    assert [kept.get(compute, n) for n in (10, 20, 10, 30, 10, 20)] == [1, 2, 1, 3, 1, 4]
    assert len(kept) == 2


def test_nan_equals_nothing():
    kept, compute = KeptGeometry(), _Counting()
    assert [kept.get(compute, torch.tensor([torch.nan])) for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    "config", [LIFT, VoxelSamplingConfig(channels=4), DualViewTransformConfig(LIFT)]
)
def test_view_transforms_with_changing_rigs(config, cameras, wide):
    view = config.build(5, 8, GRID).eval()
    features = torch.randn(2, 3, 5, 8, 20)
    moved = bev_transform(flip_y=True).expand(2, 4, 4)
    cases = [(cameras, EYE), (wide, EYE), (cameras, moved), (cameras, EYE), (wide, EYE)]

    def run():
        with torch.no_grad():
            return [view(features, IMAGE, rig, augmentation).bev for rig, augmentation in cases]

    expected = run()
    view.kept = KeptGeometry()
    for found in (run(), run()):
        assert all(map(torch.equal, found, expected))
    assert len(view.kept) == 3

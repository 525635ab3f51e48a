"""Lenses of a rig: stacked, mixed, indexed and moved with their cameras."""

import math

import pytest
import torch

from bev.geometry import Cameras, KannalaBrandt, MixedLens, Pinhole, rigid_transform, stack_lenses

WIDE = KannalaBrandt.make((-0.012, 0.004, -0.003, 0.0005), math.radians(95))
WIDER = KannalaBrandt.make((0.05, -0.01, 0.0, 0.0), math.radians(75))
RIG = [Pinhole(), WIDE, WIDER, Pinhole()]


def cameras(lenses) -> Cameras:
    count = len(lenses)
    intrinsics = torch.tensor([[80.0, 0, 80], [0, 80, 32], [0, 0, 1]], dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(count, 3, 3, dtype=torch.float64)).Q
    turn = turn * torch.linalg.det(turn).sign()[:, None, None]
    place = torch.randn(count, 3, dtype=torch.float64)
    return Cameras(
        intrinsics.expand(count, 3, 3),
        rigid_transform(turn, place),
        torch.eye(3, dtype=torch.float64).expand(count, 3, 3),
        stack_lenses(lenses),
    )


def assert_same(results, expected):
    """The same to rounding: products of a batch of matrices may be summed in another order."""
    torch.testing.assert_close(results, expected, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("lenses", [RIG, RIG[1:3], RIG[::3]])
def test_a_rig_projects_like_each_of_its_cameras(lenses):
    rig = cameras(lenses)
    points = torch.randn(len(lenses), 9, 3, dtype=torch.float64) * 10
    pixels, depth = rig.project(points)
    rays = rig.rays(torch.rand(len(lenses), 9, 2, dtype=torch.float64) * 160)
    assert rays.isfinite().any()
    for i, lens in enumerate(lenses):
        alone = Cameras(rig.intrinsics[i], rig.ego_from_camera[i], rig.image_from_original[i], lens)
        for one in (alone, rig[i]):
            assert_same((pixels[i], depth[i]), one.project(points[i]))
    for index in (
        torch.tensor([len(lenses) - 1, 0]),
        slice(1, None),
        torch.arange(len(lenses)) > 0,
    ):
        assert_same((pixels[index], depth[index]), rig[index].project(points[index]))


def test_equal_classes_need_no_selection():
    assert stack_lenses([Pinhole(), Pinhole()]) == Pinhole()
    assert type(stack_lenses([WIDE, WIDER])) is KannalaBrandt
    mixed = stack_lenses(RIG)
    assert type(mixed) is MixedLens and mixed.kind.tolist() == [0, 1, 1, 0]


def test_each_returns_the_stacked_lenses():
    apart = stack_lenses(RIG).each(4)
    assert [type(lens) for lens in apart] == [type(lens) for lens in RIG]
    assert torch.equal(apart[2].coefficients, WIDER.coefficients)
    assert Pinhole().each(3) == [Pinhole()] * 3


def test_a_rig_moves_with_its_cameras():
    moved = cameras(RIG).to(torch.float32)
    assert moved.lens.lenses[1].coefficients.dtype == torch.float32
    assert moved.lens.kind.dtype == torch.int64
    assert moved[None][[0, 0]].lens.kind.shape == (2, 4)


def test_a_pinhole_leaves_points_unchanged():
    """Depth is z and pixels are those of the matrix, to the bit."""
    points = torch.randn(5, 3)
    plane, depth = Pinhole().project(points)
    assert plane is points and torch.equal(depth, points[:, 2])
    assert Pinhole().unproject(points) is points

"""Rotated overlap compared with shapely, and the boxes that suppression keeps."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity
from shapely.geometry import box

from bev.models.heads.center.nms import circle_nms, rotated_iou, rotated_nms


def shapely_iou(a, b):
    shapes = []
    for x, y, length, width, yaw in (a, b):
        shape = affinity.rotate(
            box(-length / 2, -width / 2, length / 2, width / 2), yaw, (0, 0), True
        )
        shapes.append(affinity.translate(shape, x, y))
    return shapes[0].intersection(shapes[1]).area / shapes[0].union(shapes[1]).area


number = st.floats(-3, 3, width=32)
rectangle = st.tuples(number, number, st.floats(0.5, 8), st.floats(0.5, 3), st.floats(-4, 4))


@given(rectangle, rectangle, st.sampled_from([0.0, 50.0]))
@settings(max_examples=200, deadline=None)
def test_overlap_agrees_with_shapely(a, b, far):
    a, b = ((r[0] + far, r[1] - far, *r[2:]) for r in (a, b))
    ours = rotated_iou(torch.tensor([a]), torch.tensor([b])).item()
    assert ours == pytest.approx(shapely_iou(a, b), abs=1e-4)


def test_overlap_of_worked_cases():
    unit = (0.0, 0.0, 2.0, 2.0, 0.0)
    cases = {
        unit: 1.0,
        (0.0, 0.0, 2.0, 2.0, math.pi / 2): 1.0,
        (1.0, 0.0, 2.0, 2.0, 0.0): 1 / 3,
        (2.0, 0.0, 2.0, 2.0, 0.0): 0.0,
        (5.0, 0.0, 2.0, 2.0, 0.0): 0.0,
        (0.0, 0.0, 1.0, 1.0, 0.7): 0.25,
        # A square turned by 45 degrees: the intersection is an octagon of 8 (sqrt 2 - 1).
        (0.0, 0.0, 2.0, 2.0, math.pi / 4): (8 * (2**0.5 - 1)) / (8 - 8 * (2**0.5 - 1)),
    }
    for other, expected in cases.items():
        value = rotated_iou(torch.tensor([unit]), torch.tensor([other])).item()
        assert value == pytest.approx(expected, abs=1e-5), other


def test_the_better_box_stays_and_groups_do_not_compete():
    rectangles = torch.tensor(
        [[0, 0, 4, 2, 0.0], [0.5, 0, 4, 2, 0.0], [0.5, 0, 4, 2, 0.0], [9, 0, 4, 2, 0.0]]
    )
    overlap, one, two = torch.full((4,), 0.2), torch.zeros(4).long(), torch.tensor([0, 0, 1, 0])
    assert rotated_nms(rectangles, overlap, one).tolist() == [0, 3]
    assert rotated_nms(rectangles, overlap, two).tolist() == [0, 2, 3]


def test_a_removed_box_removes_nothing():
    # 0 removes 1; 1 would have removed 2, but is gone.
    centers = torch.tensor([[0.0, 0.0], [0.9, 0.0], [1.8, 0.0]])
    assert circle_nms(centers, torch.ones(3), torch.zeros(3).long()).tolist() == [0, 2]


def test_at_most_the_requested_number_is_kept():
    centers = torch.arange(20.0).view(10, 2) * 5
    assert circle_nms(centers, torch.ones(10), torch.zeros(10).long(), most=3).tolist() == [0, 1, 2]
    rectangles = torch.cat([centers, torch.ones(10, 3)], dim=1)
    kept = rotated_nms(rectangles, torch.full((10,), 0.2), torch.zeros(10).long(), most=4)
    assert kept.tolist() == [0, 1, 2, 3]
    assert len(circle_nms(centers[:0], torch.ones(0), torch.zeros(0).long())) == 0


@given(
    seed=st.integers(0, 2**31),
    spread=st.floats(2, 60),
    groups=st.integers(1, 3),
    most=st.sampled_from([3, 500]),
)
def test_suppression_agrees_with_a_sequential_loop(seed, spread, groups, most):
    """Parallel rounds keep the boxes of the textbook's loop over all overlaps or distances."""
    generator = torch.Generator().manual_seed(seed)
    rectangles = torch.rand(40, 5, generator=generator) * torch.tensor([spread, spread, 4, 2, 6])
    rectangles[:, 2:4] += 0.5
    group = torch.randint(0, groups, (40,), generator=generator)
    limit = torch.rand(40, generator=generator)
    first, second = rectangles.repeat_interleave(40, dim=0), rectangles.repeat(40, 1)
    overlap = rotated_iou(first, second).view(40, 40)
    distance = (rectangles[:, None, :2] - rectangles[:, :2]).norm(dim=-1)
    for nms, subject, limits, near in (
        (rotated_nms, rectangles, limit / 2, overlap > limit.unsqueeze(1) / 2),
        (circle_nms, rectangles[:, :2], 3 * limit, distance < 3 * limit.unsqueeze(1)),
    ):
        kept: list[int] = []
        for worse in range(40):
            if not any(near[better, worse] and group[better] == group[worse] for better in kept):
                kept.append(worse)
        assert nms(subject, limits, group, most).tolist() == kept[:most]


def test_distances_are_exact_far_from_the_origin():
    """Pairs 170 mm apart, up to 70 m away: a radius 0.1 mm smaller keeps both of each pair."""
    generator = torch.Generator().manual_seed(0)
    first = 102 * torch.rand(200, 2, generator=generator) - 51
    centers = torch.stack([first, first + 0.12], dim=1).flatten(0, 1)
    pair = torch.arange(400) // 2
    for radius, kept in ((0.1696, 400), (0.1698, 200)):  # 0.12 times the root of two is 0.16971
        assert len(circle_nms(centers, torch.full((400,), radius), pair, 400)) == kept

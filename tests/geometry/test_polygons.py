"""Covered cells: worked cases, and shapely's point-in-polygon tests of cell centres."""

import math

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import Polygon
from shapely.ops import unary_union

from bev.geometry import BevGrid, Boxes3D, Polygons, bev_transform, covered

GRID = BevGrid(x=(-3.0, 9.0, 0.75), y=(-8.0, 4.0, 0.5), z=(-1.0, 1.0, 2.0))  # 16 columns, 24 rows


def boxes(*rows) -> Boxes3D:
    """Boxes from rows (x, y, length, width, yaw)."""
    x, y, length, width, yaw = torch.tensor(rows, dtype=torch.float32).view(-1, 5).unbind(1)
    height = torch.ones_like(x)
    return Boxes3D.make(
        torch.stack([x, y, height], 1), torch.stack([length, width, height], 1), yaw
    )


def polygon(points, layer=0) -> Polygons:
    """A polygon with its vertices in the given order."""
    ring = torch.tensor(points, dtype=torch.float32)
    return Polygons.make(torch.stack([ring, ring.roll(-1, 0)], dim=1), layer)


def slow(shape, margin=1e-3):
    """Masks (Y, X) of the centres inside, by shapely, and of the centres clear of the border."""
    points = shapely.points(GRID.centers().numpy())
    inside = torch.from_numpy(shapely.contains(shape, points))
    return inside, torch.from_numpy(shapely.distance(shape.boundary, points) > margin)


def test_a_worked_box():
    # x from 1 to 3.25, y from -2 to -0.6: columns of centres 1.125, 1.875, 2.625; rows -1.75 to
    # -0.75.
    found = covered([Polygons.of_boxes(boxes((2.125, -1.3, 2.25, 1.4, 0.0)), 0)], [0], GRID)[0, 0]
    expected = torch.zeros(24, 16, dtype=torch.bool)
    expected[12:15, 5:8] = True
    assert torch.equal(found, expected)
    turned = covered(
        [Polygons.of_boxes(boxes((2.125, -1.3, 1.4, 2.25, math.pi / 2)), 0)], [0], GRID
    )
    assert torch.equal(turned[0, 0], expected)


number = st.floats(-1, 1, allow_nan=False, width=32)
BOX = st.tuples(
    st.floats(-5, 11, width=32), st.floats(-10, 6, width=32), st.floats(0.25, 8, width=32),
    st.floats(0.25, 4, width=32), st.floats(-4, 4, width=32),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(BOX, min_size=1, max_size=4), st.floats(-3, 3), st.booleans(), st.booleans())
def test_boxes_under_bev_augmentation_match_point_in_polygon(rows, turn, flip_x, flip_y):
    """Boxes that overlap, are turned or mirrored, or lie partly or entirely outside the grid."""
    moved = boxes(*rows).transform(bev_transform(turn, 1.05, flip_x, flip_y))
    inside, clear = slow(unary_union([Polygon(p) for p in moved.footprint().tolist()]))
    found = covered([Polygons.of_boxes(moved, 0)], [0], GRID)[0, 0]
    assert torch.equal(found & clear, inside & clear)
    # The same by moving the polygons.
    own = Polygons.of_boxes(boxes(*rows), 0).transform(bev_transform(turn, 1.05, flip_x, flip_y))
    assert torch.equal(covered([own], [0], GRID)[0, 0] & clear, inside & clear)


@settings(max_examples=40)
@given(st.lists(st.floats(-0.4, 0.4), min_size=5, max_size=9), st.floats(0.3, 0.7))
def test_polygons_with_holes_and_polygons_over_the_holes(shifts, inner):
    """A star with a star-shaped hole, and a square that covers part of the hole."""
    turns = (np.arange(len(shifts)) + shifts) / len(shifts)  # in order: counter-clockwise
    angles, middle = 2 * np.pi * turns, np.array([3.0, -2.0])
    rays = (4 + 2 * np.cos(3 * angles))[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    outer, hole = middle + rays, middle + inner * rays
    shape = Polygon(outer, [hole])
    square = [(2.0, -3.0), (4.0, -3.0), (4.0, -1.5), (2.0, -1.5)]
    parts = [polygon(outer), polygon(hole[::-1].copy()), polygon(square)]
    inside, clear = slow(shape)
    found = covered([Polygons.cat(parts[:2])], [0], GRID)[0, 0]
    assert torch.equal(found & clear, inside & clear)
    inside, clear = slow(unary_union([shape, Polygon(square)]))
    found = covered([Polygons.cat(parts)], [0], GRID)[0, 0]
    assert torch.equal(found & clear, inside & clear)


def test_samples_and_layers_do_not_mix():
    here, there = boxes((0.0, 0.0, 2.0, 2.0, 0.3)), boxes((5.0, -6.0, 3.0, 2.0, 1.0))
    parts = [Polygons.of_boxes(here, 4), Polygons.of_boxes(there, 1)]
    found = covered([Polygons.cat(parts), Polygons.empty(), parts[1]], [1, 4], GRID)
    alone = [
        covered([part], [layer], GRID)[0, 0] for part, layer in zip(parts, (4, 1), strict=True)
    ]
    assert found.shape == (3, 2, 24, 16) and all(mask.any() for mask in alone)
    assert torch.equal(found[0, 1], alone[0]) and torch.equal(found[0, 0], alone[1])
    assert torch.equal(found[2, 0], alone[1]) and not found[1].any() and not found[2, 1].any()


@pytest.mark.parametrize(("least", "count"), [(0, 3), (1, 3), (2, 2), (4, 1)])
def test_boxes_of_a_known_low_visibility_are_left_out(least, count):
    rows = boxes((0.0, 0.0, 2.0, 2.0, 0.0), (0.0, -5.0, 2.0, 2.0, 0.0), (6.0, 0.0, 2.0, 2.0, 0.0))
    rows.visibility[:] = torch.tensor([1, 0, 3])
    found = covered([Polygons.of_boxes(rows, 0)], [0], GRID, least)[0, 0]
    cells, _ = GRID.locate(rows.center - torch.tensor([0.0, 0.0, 1.0]))
    assert int(found[cells[:, 1], cells[:, 2]].sum()) == count


def test_autocast_does_not_affect_the_ground_truth():
    parts = [Polygons.of_boxes(boxes((3.0, -2.0, 5.0, 2.1, 0.4)), 0)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(covered(parts, [0], GRID), covered(parts, [0], GRID))
        moved = parts[0].transform(bev_transform(0.3))
    assert torch.equal(moved.edges, parts[0].transform(bev_transform(0.3)).edges)

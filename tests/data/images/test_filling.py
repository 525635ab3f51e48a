"""Polygons filled as Lift-Splat-Shoot fills its ground truth."""

import cv2
import numpy as np
import pytest
import torch

from bev.data.images.filling import filled, rings
from bev.geometry import BevGrid, Boxes3D, Polygons, covered

GRID = BevGrid(x=(-10.0, 30.0, 0.5), y=(-8.0, 20.0, 0.5), z=(-10.0, 10.0, 20.0))


def boxes(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Boxes3D.make(
        torch.rand(count, 3, generator=generator) * torch.tensor([50.0, 38.0, 0.0])
        - torch.tensor([15.0, 13.0, 0.0]),
        torch.rand(count, 3, generator=generator) * 4 + 0.3,
        torch.rand(count, generator=generator) * 6.3,
        visibility=torch.arange(count) % 5,
    )


def test_each_box_is_filled_from_its_rounded_corners():
    """Against the published steps for one box: image [x, y], corners (y, x)."""
    vehicles = boxes(60)
    image = np.zeros((80, 56))
    for corners in vehicles.footprint().double().numpy():
        cells = np.round((corners - [-10, -8]) / 0.5).astype(np.int32)
        cv2.fillPoly(image, [cells[:, [1, 0]]], 1.0)
    mask = filled([Polygons.of_boxes(vehicles, 3)], [3, 1], GRID)
    assert mask.shape == (1, 2, 56, 80) and mask.any()
    assert np.array_equal(mask[0, 0].numpy(), image.T > 0)
    assert not mask[0, 1].any()


def test_visibility_and_samples_are_kept_apart():
    polygons = [Polygons.of_boxes(boxes(20, seed), 0) for seed in (1, 2)]
    whole, visible = filled(polygons, [0], GRID), filled(polygons, [0], GRID, 2)
    for number, seed in enumerate((1, 2)):
        shown = boxes(20, seed)
        shown = shown[shown.visibility != 1]
        alone = filled([Polygons.of_boxes(shown, 0)], [0], GRID)
        assert torch.equal(visible[number], alone[0])
        assert (whole[number] & ~visible[number]).any()


def test_more_cells_are_filled_than_have_their_centre_inside():
    """Cars of 4.5 m by 1.9 m at all headings, in cells of half a metre: 40 % more."""
    count = 400
    generator = torch.Generator().manual_seed(0)
    ratio = []
    for yaw in torch.rand(count, generator=generator) * 6.3:
        car = Boxes3D.make(
            torch.rand(1, 3, generator=generator) * 10, torch.tensor([[4.5, 1.9, 1.6]]), yaw[None]
        )
        one = [Polygons.of_boxes(car, 0)]
        ratio.append((filled(one, [0], GRID).sum(), covered(one, [0], GRID).sum()))
    cells, inside = np.array(ratio).sum(axis=0)
    assert 1.3 < cells / inside < 1.5


def test_edges_are_divided_into_polygons():
    triangle = torch.tensor([[[0.0, 0], [1, 0]], [[1, 0], [0, 2]], [[0, 2], [0, 0]]])
    found = list(rings(Polygons.make(torch.cat([triangle, triangle + 1]), 0)))
    assert [corners.tolist() for corners in found] == [
        [[0, 0], [1, 0], [0, 2]], [[1, 1], [2, 1], [1, 3]],
    ]  # fmt: skip
    assert list(rings(Polygons.empty())) == []
    assert pytest.approx(filled([Polygons.empty()], [0], GRID).sum()) == 0

"""The pooling plan: both orders of points, both algorithms, and faults of published code."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from bev.geometry import BevGrid
from bev.ops import VoxelPlan
from bev.ops.voxel_plan import (
    index_dtype,
    number_cells,
    transpose_by_counting,
    transpose_by_sorting,
)

GRID = BevGrid(x=(-4.0, 8.0, 1.0), y=(-3.0, 3.5, 0.5), z=(-2.0, 2.0, 2.0))
ARRAYS = ("point_by_cell", "pixel_by_cell", "cell_start")
ARRAYS += ("point_by_pixel", "cell_by_pixel", "pixel_start")


@given(
    seed=st.integers(0, 2**31),
    pixels=st.integers(1, 20),
    bins=st.integers(1, 9),
    cells=st.integers(1, 30),
    outside=st.sampled_from([0.0, 0.5, 1.0]),
    dtype=st.sampled_from([torch.int32, torch.int64]),
)
def test_counting_and_sorting_agree(seed, pixels, bins, cells, outside, dtype):
    generator = torch.Generator().manual_seed(seed)
    count = pixels * bins
    cell = torch.randint(0, cells, (count,), generator=generator, dtype=dtype)
    cell[torch.rand(count, generator=generator) < outside] = cells
    point = (cell < cells).nonzero().squeeze(1).to(dtype)
    start = torch.nn.functional.pad((cell < cells).view(pixels, bins).sum(1).cumsum(0), (1, 0))
    counted = transpose_by_counting(cell[point], point, start.to(dtype), bins, cells)
    sorted_ = transpose_by_sorting(cell, bins, cells)
    inside = len(point)
    for name, first, second in zip(ARRAYS, counted, sorted_, strict=True):
        assert first.dtype == second.dtype == dtype, name
        assert first.shape == second.shape, name
        if not name.endswith("start"):
            first, second = first[:inside], second[:inside]
        assert torch.equal(first, second), name


@given(seed=st.integers(0, 2**31))
def test_each_order_contains_every_inside_point_once(seed):
    generator = torch.Generator().manual_seed(seed)
    points = 5 * torch.randn(2, 2, 4, 3, 3, 3, generator=generator)
    points[0, 0, 0, 0, 0] = torch.nan
    points[0, 1, 2, 1, 1, 2] = torch.inf
    plan = VoxelPlan.from_points(points, GRID)
    natural = points.permute(0, 1, 3, 4, 2, 5).reshape(-1, 3)
    index, inside = GRID.locate(natural)
    expected = inside.nonzero().squeeze(1).tolist()
    count = int(plan.cell_start[-1])
    assert count == int(plan.pixel_start[-1]) == len(expected)
    assert plan.point_by_pixel[:count].tolist() == expected
    assert sorted(plan.point_by_cell[:count].tolist()) == expected
    planes, rows, columns = GRID.shape
    for order, cells, starts in (
        (plan.point_by_pixel, plan.cell_by_pixel, None),
        (plan.point_by_cell, None, plan.cell_start),
    ):
        for place, point in enumerate(order[:count].tolist()):
            iz, iy, ix = index[point].tolist()
            cell = ((point // (len(natural) // 2) * rows + iy) * columns + ix) * planes + iz
            if cells is not None:
                assert cells[place] == cell
            else:
                assert starts[cell] <= place < starts[cell + 1]
    assert (plan.pixel_by_cell[:count] == plan.point_by_cell[:count] // 4).all()


@given(
    seed=st.integers(0, 2**31),
    batch=st.sampled_from([1, 3]),
    grid=st.sampled_from([GRID, BevGrid((-4.0, 4.0, 1.6e-3), (-4.0, 4.0, 1.6e-3), GRID.z)]),
)
@settings(max_examples=4)
def test_a_gpu_numbers_cells_as_the_cpu_does(seed, batch, grid):
    """The CPU casts cell numbers of inside points only; a GPU masks the others and casts all."""
    points = 4 * torch.randn(batch, 2, 4, 3, 2, 3, generator=torch.Generator().manual_seed(seed))
    points[0, 0, :3, 0, 0, 1] = torch.tensor([torch.nan, torch.inf, -1e38])
    plan = VoxelPlan.from_points(points, grid)
    cell, inside, cells = number_cells(points, grid)
    masked = cell.masked_fill_(~inside, cells).to(plan.cell_start.dtype)
    count = int(inside.sum())
    results = [transpose_by_sorting(masked, 4, cells)]
    if torch.cuda.is_available():
        results.append(VoxelPlan.from_points(points.cuda(), grid).to("cpu").pattern)
    for result in results:
        for name, found in zip(ARRAYS, result, strict=True):
            length = None if name.endswith("start") else count
            assert torch.equal(found[:length], getattr(plan, name)[:length]), name


@pytest.mark.parametrize(
    "shape", [(1, 1, 2, 3, 3, 4), (1, 2, 3, 3, 3), (1, 1, 0, 3, 3, 3), (0, 1, 2, 3, 3, 3)]
)
def test_points_of_another_shape_are_refused(shape):
    with pytest.raises((ValueError, TypeCheckError), match=r"B.* N.* D.* H.* W.* 3"):
        VoxelPlan.from_points(torch.zeros(shape), GRID)


def test_points_within_a_cell_keep_their_order():
    plan = VoxelPlan.from_points(torch.zeros(1, 2, 3, 1, 2, 3), GRID)
    assert plan.point_by_cell.tolist() == list(range(12))


def test_more_cells_than_float32_can_count():
    # Cell numbers in float32 would be exact only up to 2^24.
    grid = BevGrid((0.0, 4103.0, 1.0), (0.0, 4103.0, 1.0), (-1.0, 1.0, 2.0))
    points = torch.tensor([[4101.5, 4102.5, 0.0], [4102.5, 4102.5, 0.0]]).view(1, 1, 2, 1, 1, 3)
    plan = VoxelPlan.from_points(points, grid)
    assert plan.cell_by_pixel.tolist() == [4103**2 - 2, 4103**2 - 1]


@pytest.mark.parametrize(
    ("points", "cells", "dtype"),
    [
        (2**31 - 1, 5, torch.int32),
        (2**31, 5, torch.int64),
        (5, 2**31 - 1, torch.int32),
        (5, 2**31, torch.int64),
    ],
)
def test_indices_have_the_shortest_integer_type(points, cells, dtype):
    assert index_dtype(points, cells) == dtype


def test_sorting_has_no_data_dependent_shapes():
    """Sorting runs on the meta device: no shape depends on a value."""
    cell = torch.zeros(60, dtype=torch.int32, device="meta")
    shapes = [tuple(part.shape) for part in transpose_by_sorting(cell, 6, 7)]
    assert shapes == [(60,), (60,), (8,), (60,), (60,), (11,)]


def cells_by_casts(points, grid):
    """{point: (sample, y, x, z)} with the integer casts of published code, one point at a time."""
    found, number = {}, 0
    batch, cameras, bins, rows, columns, _ = points.shape
    for sample in range(batch):
        for camera in range(cameras):
            for row in range(rows):
                for column in range(columns):
                    for one in range(bins):
                        point = points[sample, camera, one, row, column].tolist()
                        place = []
                        for value, (lo, hi, step) in zip(
                            point, (grid.x, grid.y, grid.z), strict=True
                        ):
                            cell = int((value - lo) / step) if math.isfinite(value) else -1
                            place.append(cell if 0 <= cell < round((hi - lo) / step) else None)
                        if None not in place:
                            found[number] = (sample, place[1], place[0], place[2])
                        number += 1
    return found


@given(seed=st.integers(0, 2**31), extreme=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_truncated_cells_are_those_of_integer_casts(seed, extreme):
    """Coordinates are multiples of 1/8, for which all operations are exact."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randint(-60, 90, (2, 2, 4, 3, 3, 3), generator=generator) / 8
    points[0, 0, 0, 0, 0, 1] = extreme
    expected = cells_by_casts(points, GRID)
    plan = VoxelPlan.from_points(points, GRID, truncate=True)
    count = int(plan.cell_start[-1])
    planes, rows, columns = GRID.shape
    numbers = {
        point: ((sample * rows + iy) * columns + ix) * planes + iz
        for point, (sample, iy, ix, iz) in expected.items()
    }
    points_in, cells_in = (o[:count].tolist() for o in (plan.point_by_pixel, plan.cell_by_pixel))
    assert dict(zip(points_in, cells_in, strict=True)) == numbers
    by_sorting = number_cells(points, GRID, truncate=True)[0][list(numbers)]
    assert by_sorting.long().tolist() == list(numbers.values())


def test_points_one_cell_below_a_range_are_folded_only_if_truncated():
    """x from -4 in steps of 1, z from -2 in steps of 2: folded in (-5, -4) and (-4, -2)."""
    x = [-5.0, -4.875, -4.0, -3.125, 7.875, 8.0, 0.5, 0.5]
    z = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, -3.875, -4.0]
    points = torch.tensor([x, [0.25] * 8, z]).T.view(1, 1, 8, 1, 1, 3)

    def kept(**options):
        plan = VoxelPlan.from_points(points, GRID, **options)
        return plan.point_by_pixel[: int(plan.cell_start[-1])].tolist()

    assert kept() == [2, 3, 4]
    assert kept(truncate=True) == [1, 2, 3, 4, 6]

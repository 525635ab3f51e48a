"""The BEV grid, with the faults of published code as test cases. Grids are neither square nor
centred, so that swapped axes fail."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.errors import ConfigError
from bev.geometry import BevGrid

GRID = BevGrid(x=(-14.4, 36.8, 0.4), y=(-8.0, 4.0, 0.5), z=(-5.0, 3.0, 2.0))


def test_sizes_are_rounded_not_truncated():
    assert int((36.8 - -14.4) / 0.4) == 127  # what truncation would give
    assert GRID.shape == (4, 24, 128)


def test_indices_are_z_y_x():
    # x: (10.1 + 14.4) / 0.4 = 61.25; y: (-7.3 + 8) / 0.5 = 1.4; z: (1.2 + 5) / 2 = 3.1
    cells, inside = GRID.locate(torch.tensor([10.1, -7.3, 1.2]))
    assert cells.tolist() == [3, 1, 61]
    assert inside


def test_the_row_below_the_range_does_not_fold_into_cell_zero():
    # A cast to int would take -0.5 cells to cell 0.
    points = torch.tensor([[-14.6, 0.0, 0.0], [0.0, -8.25, 0.0], [0.0, 0.0, -6.0]])
    _, inside = GRID.locate(points)
    assert inside.tolist() == [False, False, False]


def test_the_upper_end_is_outside():
    points = torch.tensor([[37.0, 0.0, 0.0], [0.0, 4.1, 0.0], [0.0, 0.0, 3.1], [36.7, 3.9, 2.9]])
    cells, inside = GRID.locate(points)
    assert inside.tolist() == [False, False, False, True]
    assert cells[3].tolist() == [3, 23, 127]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf, 1e30, -1e30])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_points_that_are_not_finite_lie_outside_with_index_zero(bad, axis):
    point = torch.zeros(3)
    point[axis] = bad
    cells, inside = GRID.locate(point)
    assert not inside
    assert cells.tolist() == [0, 0, 0]


@given(st.integers(0, 127), st.integers(0, 23), st.floats(0.05, 0.95), st.floats(0.05, 0.95))
def test_a_point_within_a_cell_is_found_there(ix, iy, across, along):
    point = torch.tensor([-14.4 + (ix + across) * 0.4, -8.0 + (iy + along) * 0.5, 0.0])
    cells, inside = GRID.locate(point)
    assert inside
    assert cells.tolist() == [2, iy, ix]


def test_centers_lie_in_their_own_cells():
    centers = GRID.centers()
    assert centers.shape == (24, 128, 2)
    torch.testing.assert_close(centers[0, 0], torch.tensor([-14.2, -7.75]))
    torch.testing.assert_close(centers[-1, -1], torch.tensor([36.6, 3.75]))
    cells, inside = GRID.locate(torch.cat([centers, torch.zeros(24, 128, 1)], dim=-1))
    assert inside.all()
    assert (cells[..., 1] == torch.arange(24)[:, None]).all()
    assert (cells[..., 2] == torch.arange(128)).all()


@pytest.mark.parametrize("axis", [(0.0, 1.0, 0.3), (1.0, 0.0, 0.5), (0.0, 1.0, 0.0)])
def test_a_step_that_does_not_fit_is_refused_by_name(axis):
    with pytest.raises(ConfigError, match=r"BevGrid\.y"):
        BevGrid(y=axis)


@pytest.mark.parametrize("axis", [(-51.2, 51.2, 1e-310), (-1.7e308, 1.7e308, 1.0)])
def test_more_cells_than_a_number_holds_are_refused_by_name(axis):
    with pytest.raises(ConfigError, match=r"^BevGrid\.z = .* holds more cells than can be counted"):
        BevGrid(z=axis)

"""Arrays of the pooling by columns, and both forms of their sum."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bev.geometry import BevGrid
from bev.lab.deploy.graph import columns
from bev.lab.deploy.plan import arrange, calibration_arrays, calibration_inputs, cells
from bev.lab.deploy.pooling import pooling
from bev.ops import VoxelPlan, voxel_pool


def tensors(arrays):
    return {name: torch.from_numpy(value) for name, value in arrays.items()}


def test_a_column_that_falls_into_two_cells_has_two_slots():
    """One camera, one column of three rows, two bins; five cells."""
    cell = np.array([[[[2, -1]], [[4, -1]], [[2, 3]]]])  # (N, h, w, D)
    arrays = arrange(cell, 5)
    assert arrays["target"].tolist() == [[[[2, 3], [4, 5]]]]  # slot, bin; 5 is no cell
    assert arrays["mask"][0, 0].tolist() == [[[1, 0, 1], [0, 0, 1]], [[0, 1, 0], [0, 0, 0]]]
    # Entries 0 (cell 2), 1 (cell 3) and 2 (cell 4) are a segment each; 4 is the padding.
    assert arrays["segments"].tolist() == [[0, 4, 4, 4], [1, 4, 4, 4], [2, 4, 4, 4], [4, 4, 4, 4]]
    assert arrays["places"].tolist() == [[3], [3], [0], [1], [2]]


@given(seed=st.integers(0, 10**6), planes=st.sampled_from([1, 2]), spread=st.floats(0.5, 8))
@pytest.mark.parametrize("form", ["scatter", "padded"])
def test_both_forms_are_voxel_pooling(form, seed, planes, spread):
    """Points anywhere: many in one cell, none, and outside of the grid."""
    torch.manual_seed(seed)
    grid = BevGrid(x=(-2.0, 3.0, 1.0), y=(-2.0, 2.0, 0.5), z=(-1.0, 1.0, 2.0 / planes))
    points = torch.randn(2, 3, 4, 5, 2, 3) * spread  # B N D h w
    points[1] = points[0]  # one rig for both samples
    depth, context = torch.rand(2, 3, 4, 5, 2), torch.randn(2, 3, 6, 5, 2)
    want = voxel_pool(depth, context, VoxelPlan.from_points(points, grid))
    indices, inside = grid.floor(*points[0].unbind(-1))
    x, y, z = (torch.where(inside, index, 0).long() for index in indices)
    cell = torch.where(inside, (y * 5 + x) * planes + z, -1).permute(0, 2, 3, 1)
    arrays = tensors(arrange(cell.numpy(), planes * 8 * 5))
    got = pooling(form, planes * 8 * 5)(columns(depth, context, arrays["mask"]), arrays)
    got = got.reshape(2, 8, 5, planes * 6).permute(0, 3, 1, 2)
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)


def test_the_numpy_cells_are_those_of_the_grid():
    grid = BevGrid(x=(-2.0, 3.0, 1.0), y=(-2.0, 2.0, 0.5), z=(-1.0, 1.0, 1.0))
    points = (torch.rand(4, 5, 6, 7, 3) - 0.5) * 8
    geometry = {"grid": {axis: list(getattr(grid, axis)) for axis in "xyz"}}
    for truncate in (False, True):
        got, count = cells(points.numpy(), geometry | {"truncate": truncate})
        indices, inside = grid.floor(*points.unbind(-1), truncate=truncate)
        x, y, z = (torch.where(inside, index, 0).long() for index in indices)
        want = torch.where(inside, (y * 5 + x) * 2 + z, -1)
        assert count == 80 and (got == want.numpy()).all()


def test_functions_have_at_most_forty_lines():
    import inspect

    for function in (calibration_inputs, calibration_arrays, cells, arrange):
        assert len(inspect.getsource(function).splitlines()) <= 40

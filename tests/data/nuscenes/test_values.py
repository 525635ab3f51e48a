"""Exactly the rows that break a rule are marked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bev.data.nuscenes.values import no_box, no_lens, no_pose, no_size, not_unit

UNIT = np.array([0.5, -0.5, 0.5, -0.5])
NOT_FINITE = st.sampled_from([np.nan, np.inf, -np.inf])


def columns(count: int, **changed: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    plain = {
        "translation": rng.normal(0, 1000, (count, 3)),
        "rotation": np.tile(UNIT, (count, 1)),
        "size": rng.uniform(0.01, 20, (count, 3)),
        "camera_intrinsic": np.tile(np.array([[9.0, 0, 4], [0, 9, 3], [0, 0, 1]]), (count, 1, 1)),
    }
    return plain | changed


@given(
    row=st.integers(0, 4),
    field=st.sampled_from(["translation", "rotation", "size", "camera_intrinsic"]),
    place=st.integers(0, 8),
    value=NOT_FINITE,
)
def test_one_number_that_is_not_finite_marks_its_row(row, field, place, value):
    table = columns(5)
    flat = table[field].reshape(5, -1)
    flat[row, place % flat.shape[1]] = value
    marked = np.arange(5) == row
    assert (no_pose(table) == (marked & (field in ("translation", "rotation")))).all()
    assert (no_box(table) == (marked & (field != "camera_intrinsic"))).all()
    assert (no_lens(table) == (marked & (field == "camera_intrinsic"))).all()
    assert not not_unit(table).any()  # a rotation that is not finite has no length


@pytest.mark.parametrize(
    ("length", "pose", "unit"),
    [(0.0, False, True), (1e-9, False, True), (0.9, True, False), (2.0, True, False),
     (1.0005, True, True), (0.9995, True, True), (1.0, True, True)],
)  # fmt: skip
def test_quaternions_are_classified_by_length(length, pose, unit):
    """A zero quaternion is no pose; one rounded to three decimals counts as a unit quaternion."""
    table = columns(2, rotation=np.stack([UNIT, length * UNIT]))
    assert no_pose(table).tolist() == [False, not pose]
    assert not_unit(table).tolist() == [False, not unit]


@pytest.mark.parametrize("value", [0.0, -0.0, -1.0])
def test_boxes_need_three_positive_sizes(value):
    table = columns(3)
    table["size"][1, 2] = value
    assert no_box(table).tolist() == [False, True, False]


def test_cameras_need_positive_focal_lengths():
    table = columns(4)
    table["camera_intrinsic"][1, 0, 0] = 0
    table["camera_intrinsic"][2] = 0
    table["camera_intrinsic"][3, 0, 0] = -9  # a mirrored image
    assert no_lens(table).tolist() == [False, True, True, False]


def test_singular_and_transposed_matrices_are_no_lens():
    table = columns(5)
    matrix = table["camera_intrinsic"]
    matrix[1] = matrix[1].T.copy()
    matrix[2] = [[9, 9, 4], [9, 9, 3], [0, 0, 1]]
    matrix[3] *= 2
    matrix[4, 0, 1] = 0.5  # skew
    assert no_lens(table).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("size", [(0, 900), (1600, 0), (-1, 900), (1, 1)])
def test_images_need_a_size(size):
    table = {"width": np.array([2, size[0]]), "height": np.array([2, size[1]])}
    assert no_size(table).tolist() == [False, size != (1, 1)]

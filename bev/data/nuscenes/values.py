"""Validity rules for the numbers of the tables, shared by the index and the data check.

Each function takes a table's columns (see ``bev.data.nuscenes.tables``) and marks the rows that
violate its rule. Consequences in training:

- An invalid pose in the ``ego_pose`` or ``calibrated_sensor`` of a camera or lidar, a camera with a
  singular matrix or an invalid lens, or an image without a size: the index is not built
  (``bev.data.nuscenes.index_build``).
- A box with an invalid centre, rotation or size: the index omits it, so training and evaluation
  ignore it; the official evaluation rejects such ground truth. The build reports their number.
- A quaternion that is not of unit length is normalised, as in the devkit.
- A velocity that is not finite counts as unknown.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Columns = Mapping[str, np.ndarray]
POSE = ("translation", "rotation")
_FARTHEST = 1e8  # metres; further than any coordinate on Earth, in any projection
_MIN_LENGTH = 1e-6  # of a quaternion with a defined direction
_UNIT_TOLERANCE = 1e-3  # quaternions rounded to three decimals stay below
_SINGULAR = 1e-6  # determinant of camera_intrinsic relative to its largest entry, squared


def no_pose(columns: Columns) -> np.ndarray:
    """(n,) whether ``translation`` is no place, or the quaternion is zero or not finite."""
    length = _length(columns)
    is_place = (np.abs(columns["translation"]) < _FARTHEST).all(axis=1)  # false for NaN
    return ~(is_place & (length > _MIN_LENGTH) & np.isfinite(length))


def not_unit(columns: Columns) -> np.ndarray:
    """(n,) whether the length of ``rotation`` is neither zero nor within 0.001 of 1."""
    length = _length(columns)
    return (length > _MIN_LENGTH) & (np.abs(length - 1) > _UNIT_TOLERANCE)


def no_box(columns: Columns) -> np.ndarray:
    """(n,) whether a box has an invalid pose, or a ``size`` that is not finite or not above 0."""
    size = columns["size"]
    return no_pose(columns) | ~(np.isfinite(size) & (size > 0)).all(axis=1)


def no_lens(columns: Columns) -> np.ndarray:
    """(n,) whether ``camera_intrinsic`` is not finite, is singular, or has another last row.

    The diagonal has no zero, and the last row is 0, 0, 1.
    """
    matrix = columns["camera_intrinsic"]
    finite = np.isfinite(matrix).all(axis=(1, 2))
    matrix = np.where(finite[:, None, None], matrix, 0.0)
    diagonal, upper = matrix[:, [0, 1, 2], [0, 1, 2]], matrix[:, :2, :2]
    determinant = upper[:, 0, 0] * upper[:, 1, 1] - upper[:, 0, 1] * upper[:, 1, 0]
    regular = np.abs(determinant) > _SINGULAR * np.abs(upper).max(axis=(1, 2), initial=0) ** 2
    last_row = np.abs(matrix[:, 2] - (0.0, 0.0, 1.0)).max(axis=1, initial=0) < _SINGULAR
    return ~(finite & (diagonal != 0).all(axis=1) & regular & last_row)


def no_size(columns: Columns) -> np.ndarray:
    """(n,) whether ``width`` or ``height`` is not above 0."""
    return (columns["width"] <= 0) | (columns["height"] <= 0)


def lens_faults(columns: Columns) -> dict[int, str]:
    """Rows whose ``camera_model`` is unusable, each with the reason as a part of a sentence.

    Valid models are pinholes and fisheyes; the latter have ``camera_distortion`` and optionally
    ``camera_max_angle``, see :class:`bev.geometry.KannalaBrandt`.
    """
    faults, others = {}, np.flatnonzero(columns["camera_model"] != b"pinhole").tolist()
    for row in others:
        model = columns["camera_model"][row].decode()
        if model != "fisheye":
            faults[row] = f"camera_model {model!r} is neither 'pinhole' nor 'fisheye'"
            continue
        from bev.geometry.fisheye import lens_fault  # imports torch: only for data with fisheyes

        numbers, limit = columns["camera_distortion"][row], columns["camera_max_angle"][row]
        if fault := lens_fault(numbers.tolist(), float(limit)):
            faults[row] = f"a fisheye {fault}"
    return faults


def described(columns: Columns, row: int, fields: Sequence[str]) -> str:
    """Names and values of some fields of a row, for messages."""
    values = {field: columns[field][row] for field in fields}
    return ", ".join(
        f"{field} {value.decode() if isinstance(value, bytes) else value.tolist()}"
        for field, value in values.items()
    )


def _length(columns: Columns) -> np.ndarray:
    """Length of the quaternion; 0 where a number is not finite."""
    rotation = columns["rotation"]
    with np.errstate(over="ignore"):
        length = np.sqrt((rotation**2).sum(axis=1))
    return np.where(np.isfinite(rotation).all(axis=1), length, 0.0)

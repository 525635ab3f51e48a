"""Rules for the numbers of the tables, in one place for the index and for the check.

Each function takes a table's columns (see ``bev.data.nuscenes.tables``) and marks the rows that
break its rule. In training:

- An ``ego_pose`` or ``calibrated_sensor`` of a camera or lidar that is no pose, or a camera without
  focal lengths or with a lens that is none: nothing can be placed, so the index is not built
  (``bev.data.nuscenes.index_build``).
- A box without a place, a heading or a size: left out of the index, thus of training and of
  evaluation; the official evaluation refuses such truth. The build says how many there are.
- A quaternion that is not of unit length: it is normalised, as the devkit does.
- A velocity that is not finite counts as unknown.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Columns = Mapping[str, np.ndarray]
POSE = ("translation", "rotation")
_LEAST_LENGTH = 1e-6  # of a quaternion that has a direction
# Rounding to three decimals stays below; what is further off was not meant as a rotation.
_UNIT_TOLERANCE = 1e-3


def no_pose(columns: Columns) -> np.ndarray:
    """(n,) whether ``translation`` or ``rotation`` is not finite, or the quaternion is zero."""
    return ~(np.isfinite(columns["translation"]).all(axis=1) & (_length(columns) > _LEAST_LENGTH))


def not_unit(columns: Columns) -> np.ndarray:
    """(n,) whether ``rotation`` has a direction, but not the length 1 to within 0.001."""
    length = _length(columns)
    return (length > _LEAST_LENGTH) & (np.abs(length - 1) > _UNIT_TOLERANCE)


def no_box(columns: Columns) -> np.ndarray:
    """(n,) whether a box has no pose, or a ``size`` that is not finite or not above 0."""
    size = columns["size"]
    return no_pose(columns) | ~(np.isfinite(size) & (size > 0)).all(axis=1)


def no_lens(columns: Columns) -> np.ndarray:
    """(n,) whether ``camera_intrinsic`` is not finite, or has a zero on its diagonal."""
    matrix = columns["camera_intrinsic"]
    diagonal = matrix[:, [0, 1, 2], [0, 1, 2]]
    return ~(np.isfinite(matrix).all(axis=(1, 2)) & (diagonal != 0).all(axis=1))


def lens_faults(columns: Columns) -> dict[int, str]:
    """The rows whose ``camera_model`` cannot be used, each with the end of a sentence on why.

    Beside pinholes there are fisheyes, with ``camera_distortion`` and perhaps
    ``camera_max_angle``, see
    :class:`bev.geometry.KannalaBrandt`.
    """
    faults, others = {}, np.flatnonzero(columns["camera_model"] != b"pinhole").tolist()
    for row in others:
        model = columns["camera_model"][row].decode()
        if model != "fisheye":
            faults[row] = f"camera_model {model!r} is neither 'pinhole' nor 'fisheye'"
            continue
        from bev.geometry.fisheye import lens_fault  # with torch: for those alone that have any

        numbers, limit = columns["camera_distortion"][row], columns["camera_max_angle"][row]
        if fault := lens_fault(numbers.tolist(), float(limit)):
            faults[row] = f"a fisheye {fault}"
    return faults


def told(columns: Columns, row: int, fields: Sequence[str]) -> str:
    """The values of a row, for messages."""
    return ", ".join(f"{field} {columns[field][row].tolist()}" for field in fields)


def _length(columns: Columns) -> np.ndarray:
    """Length of the quaternion; 0 where a number is not finite."""
    rotation = columns["rotation"]
    return np.where(np.isfinite(rotation).all(axis=1), np.sqrt((rotation**2).sum(axis=1)), 0.0)

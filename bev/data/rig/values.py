"""Checked values of a rig file: keys, numbers, matrices, poses and sizes.

Each function raises a DataError that begins with ``where``: the file and the camera.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.errors import DataError, shown
from bev.geometry import rigid_fault
from bev.plain_json import is_number

_LONGEST, _MOST_PIXELS = 32_000, 2**26  # of a side of an image, and of an image
_FARTHEST = 1000.0  # metres from the ego frame's origin
_SHORTEST, _LARGEST = 1e-3, 1e6  # of a focal length, and of all numbers of a matrix, pixels
_UNIT = 1e-2  # tolerated deviation of a quaternion's length, which is normalised


def check_keys(values: Any, known: Sequence[str], where: str) -> Mapping[str, Any]:
    """Return a mapping that has none but known keys."""
    if not isinstance(values, dict):
        raise DataError(f"{where} is {shown(values)}; give keys with values, such as {known[0]}.")
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key)[:40], known, 1) or known
            raise DataError(
                f"{where} has the unknown key {shown(key)}; did you mean {', '.join(near)}?"
            )
    return values


def text(value: Any, where: str) -> str:
    """Return text that is not empty."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise DataError(f"{where} is {shown(value)}; give a name.")
    return value


def number(value: Any, where: str) -> float:
    """Return a finite number."""
    if not is_number(value):
        raise DataError(f"{where} is {shown(value)}; give a finite number.")
    return float(value)


def numbers(values: Any, counts: Sequence[int], where: str) -> list[float]:
    """Return a list of one of some lengths, of finite numbers."""
    if not isinstance(values, list) or len(values) not in counts:
        wanted = " or ".join(map(str, counts))
        raise DataError(f"{where} is {shown(values)}; give a list of {wanted} numbers.")
    return [number(value, where) for value in values]


def matrix(values: Any, shape: tuple[int, int], where: str) -> Float[Tensor, "rows columns"]:
    """Return a matrix of finite numbers, as a list of rows or row after row; float64."""
    rows, columns = shape
    if isinstance(values, list) and len(values) == rows * columns:
        values = [values[row * columns : (row + 1) * columns] for row in range(rows)]
    if not isinstance(values, list) or len(values) != rows:
        raise DataError(f"{where} is {shown(values)}; give {rows} rows of {columns} numbers.")
    return torch.tensor([numbers(row, [columns], where) for row in values], dtype=torch.float64)


def image_size(found: Mapping[str, Any], where: str) -> tuple[int, int] | None:
    """Return (height, width) of the keys ``width`` and ``height``; None without them."""
    if "width" not in found and "height" not in found:
        return None
    for key in ("width", "height"):
        value = found.get(key)
        if key not in found:
            raise DataError(f"{where} has no {key}; give width and height, or neither.")
        if type(value) is not int or not 0 < value <= _LONGEST:
            raise DataError(
                f"{where}: {key} is {shown(value)}; give a number of pixels from 1 to {_LONGEST}."
            )
    height, width = found["height"], found["width"]
    if height * width > _MOST_PIXELS:
        raise DataError(f"{where} has images of {width}x{height}, more than {_MOST_PIXELS} pixels.")
    return height, width


def intrinsics(values: Any, shift: float, where: str) -> Float[Tensor, "3 3"]:
    """Return an intrinsic matrix whose pixel centres lie at integer + 0.5.

    Args:
        values: 3 rows of 3 numbers, or fx, fy, cx and cy.
        shift: what is added to cx and cy.
        where: beginning of a message.
    """
    if isinstance(values, dict):
        named = check_keys(values, ("fx", "fy", "cx", "cy"), where)
        for key in ("fx", "fy", "cx", "cy"):
            if key not in named:
                raise DataError(f"{where} has no {key}; give fx, fy, cx and cy, in pixels.")
        fx, fy, cx, cy = (number(named[k], f"{where}: {k}") for k in ("fx", "fy", "cx", "cy"))
        values = [[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]]
    found = matrix(values, (3, 3), where)
    check_intrinsics(found, where)
    if shift:
        found[:2, 2] += shift
    return found


def check_intrinsics(found: Float[Tensor, "3 3"], where: str) -> None:
    """Check that a matrix is one of a pinhole, in pixels."""
    rows = found.tolist()
    usual = found.shape == (3, 3) and bool((found.abs() < _LARGEST).all())  # false for NaN
    focal = usual and min(rows[0][0], rows[1][1]) > _SHORTEST
    if not (focal and rows[1][0] == 0 and rows[2] == [0, 0, 1]):
        raise DataError(
            f"{where} is {shown(rows)}; give [fx, 0, cx], [0, fy, cy], [0, 0, 1] with focal"
            " lengths above 0, in pixels."
        )


def pose(values: Any, where: str) -> Float[Tensor, "4 4"]:
    """Return a rigid transform, float64.

    Args:
        values: 4 rows of 4 numbers, or a translation (metres) and a rotation as a quaternion w, x,
            y, z.
        where: beginning of a message.
    """
    if isinstance(values, dict):
        found = check_keys(values, ("translation", "rotation"), where)
        for key in ("translation", "rotation"):
            if key not in found:
                raise DataError(
                    f"{where} has no {key}; give translation [x, y, z] and rotation [w, x, y, z]."
                )
        translation = numbers(found["translation"], [3], f"{where}: translation")
        quaternion = numbers(found["rotation"], [4], f"{where}: rotation")
        matrix_4 = pose_of(translation, quaternion, f"{where}: rotation")
    else:
        matrix_4 = matrix(values, (4, 4), where)
    check_rigid(matrix_4, where)
    return matrix_4


def pose_of(
    translation: Sequence[float], quaternion: Sequence[float], where: str
) -> Float[Tensor, "4 4"]:
    """Matrix of a translation and a quaternion (w, x, y, z), which is normalised."""
    length = float(np.linalg.norm(quaternion))
    if not abs(length - 1) <= _UNIT:
        raise DataError(
            f"{where} {list(quaternion)} has length {length:.4g}; give a unit quaternion w, x, y,"
            " z."
        )
    from pyquaternion import Quaternion

    result = np.eye(4)
    result[:3, :3] = Quaternion(quaternion).rotation_matrix
    result[:3, 3] = translation
    return torch.from_numpy(result)


def check_rigid(transform: Float[Tensor, "4 4"], where: str) -> None:
    """Check that a matrix is a rotation and a translation of a plausible length."""
    if transform.shape != (4, 4):
        raise DataError(
            f"{where} has the shape {tuple(transform.shape)}; give a 4x4 matrix whose last row is"
            " 0, 0, 0, 1."
        )
    if fault := rigid_fault(transform):
        raise DataError(
            f"{where} {fault}; give a quaternion, or a rotation matrix of enough digits with"
            " right-handed axes: camera x right, y down, z forward, ego x forward, y left, z up."
        )
    if (far := float(transform[:3, 3].abs().max())) > _FARTHEST:
        raise DataError(f"{where} is {far:.4g} m from the vehicle; give translations in metres.")

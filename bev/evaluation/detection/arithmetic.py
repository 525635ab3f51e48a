"""Errors between pairs of boxes and their running means, equal to nuscenes-devkit's to the bit.

The devkit computes one pair at a time. Sums of products go through its BLAS calls, whose rounding
differs from that of NumPy's own loops (fused multiply-add); ``matmul`` of stacked matrices makes
the same BLAS call for each of them.
"""

import numpy as np

_UNIT_TOLERANCE = 1e-14  # of the squared length of a quaternion, in pyquaternion
# Rows of the matrices of the products q * p and p * conj(q), as (index into q, sign).
_LEFT = ((0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0))
_LEFT_SIGNS = ((1, -1, -1, -1), (1, 1, -1, 1), (1, 1, 1, -1), (1, -1, 1, 1))
_RIGHT_SIGNS = ((1, -1, -1, -1), (1, 1, 1, -1), (1, -1, 1, 1), (1, 1, -1, 1))


def dot(vectors: np.ndarray) -> np.ndarray:
    """(n,) products of (n, k) vectors with themselves."""
    vectors = np.ascontiguousarray(vectors)
    return (vectors[:, None, :] @ vectors[:, :, None])[:, 0, 0]


def length(vectors: np.ndarray) -> np.ndarray:
    """(n,) Euclidean lengths of (n, k) vectors."""
    return np.sqrt(dot(vectors))


def rotation_matrix(quaternions: np.ndarray) -> np.ndarray:
    """(n, 3, 3) rotation matrices of (n, 4) quaternions (w, x, y, z), normalised if needed."""
    squared = dot(quaternions)
    scale = np.sqrt(squared)
    scale[(np.abs(1.0 - squared) < _UNIT_TOLERANCE) | (scale == 0)] = 1.0
    unit = (quaternions / scale[:, None])[:, _LEFT]
    # BLAS is called for contiguous matrices alone.
    left, right = (
        np.ascontiguousarray(unit * np.array(signs)) for signs in (_LEFT_SIGNS, _RIGHT_SIGNS)
    )
    return (left @ right.transpose(0, 2, 1))[:, 1:, 1:]


def yaw(quaternions: np.ndarray) -> np.ndarray:
    """(n,) headings of (n, 4) quaternions, radians."""
    forward = rotation_matrix(quaternions) @ np.array([1.0, 0.0, 0.0])
    return np.arctan2(forward[:, 1], forward[:, 0])


def yaw_difference(first: np.ndarray, second: np.ndarray, period: float) -> np.ndarray:
    """(n,) absolute differences of (n,) headings that are equal after ``period``, radians."""
    difference = (first - second + period / 2) % period - period / 2
    return np.abs(np.where(difference > np.pi, difference - 2 * np.pi, difference))


def scale_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) intersection over union of boxes of (n, 3) sizes with the same centre and heading."""

    def volume(size: np.ndarray) -> np.ndarray:
        return size[:, 0] * size[:, 1] * size[:, 2]

    common = volume(np.minimum(first, second))
    return common / (volume(first) + volume(second) - common)


def running_mean(values: np.ndarray) -> np.ndarray:
    """Cumulative mean ignoring NaN; 1 if all values are NaN, 0 before the first other value."""
    known = ~np.isnan(values)
    if not known.any():
        return np.ones(len(values))
    return np.where(known, values, 0).cumsum() / np.maximum(known.cumsum(), 1)

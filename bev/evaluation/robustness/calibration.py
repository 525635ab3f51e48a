"""Errors of calibrations, drawn from a generator."""

import numpy as np
from jaxtyping import Float

MISALIGNMENT = ((0.0, 0), (0.2, 1), (0.4, 2), (0.6, 3))
"""MultiCorrupt's spatial misalignment by severity: its probability, and the angle in degrees.

Beemelmanns et al., MultiCorrupt (2024).
"""


def pose_error(rng: np.random.Generator, degrees: float, metres: float) -> Float[np.ndarray, "4 4"]:
    """Transform from the assumed frame of a camera to the actual one.

    Philion and Fidler, Lift, Splat, Shoot (2020), section 5.3, add Gaussian noise to the
    extrinsics; here a rotation about, and a shift along, each axis.

    Args:
        rng: random numbers.
        degrees, metres: standard deviations about and along each axis.
    """
    from scipy.spatial.transform import Rotation

    error = np.eye(4)
    error[:3, :3] = Rotation.from_rotvec(degrees * rng.standard_normal(3), degrees=True).as_matrix()
    error[:3, 3] = metres * rng.standard_normal(3)
    return error


def misalignment(rng: np.random.Generator, severity: int) -> Float[np.ndarray, "4 4"]:
    """Rotation of MultiCorrupt's spatial misalignment, or the identity.

    With the probability of the severity, a frame is turned by the angle about z, y and x, in this
    order and in the negative sense, as in the authors' code.
    """
    probability, degrees = MISALIGNMENT[severity]
    error = np.eye(4)
    if rng.random() < probability:
        from scipy.spatial.transform import Rotation

        turns = Rotation.from_euler("zyx", [-degrees] * 3, degrees=True)
        error[:3, :3] = turns.as_matrix()
    return error


def perturbed_intrinsics(
    intrinsics: Float[np.ndarray, "3 3"], rng: np.random.Generator, percent: float
) -> Float[np.ndarray, "3 3"]:
    """Intrinsics with an error of the focal length and of the principal point.

    Args:
        intrinsics: exact intrinsics.
        rng: random numbers.
        percent: standard deviation of the focal length, and of each coordinate of the principal
            point, in percent of the focal length.
    """
    focal, right, down = percent / 100 * rng.standard_normal(3)
    error = np.array([[1 + focal, 0, right], [0, 1 + focal, down], [0, 0, 1]])
    return intrinsics @ error

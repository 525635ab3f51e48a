"""Fisheye lens of Kannala and Brandt, as in OpenCV.

After Kannala and Brandt, A generic camera model and calibration method for conventional,
wide-angle, and fish-eye lenses (2006), equation 6, in the form of OpenCV's ``cv2.fisheye``. A ray
at the angle theta from the optical axis meets the plane at the distance

    theta_d = theta (1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)

from the origin, in the direction in which the ray leaves the axis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.errors import ConfigError
from bev.geometry.lens import Lens

_NEWTON_STEPS = 24  # usual lenses reach float64 precision after 6; near a turning point, more
# Default max_angle as a fraction of the angle where theta_d stops rising, and is not invertible.
_TURN_FRACTION = 0.999


@dataclass(frozen=True)
class KannalaBrandt(Lens):
    """Fisheye lens. Depth is the distance from the camera, as rays beyond 90 degrees have no z > 0.

    Create one with :meth:`make`, which validates the parameters.

    Attributes:
        coefficients: ``(*batch, 4)`` k1 to k4.
        max_angle: ``(*batch)`` half the field of view, radians; theta_d must increase up to this
            angle. Points beyond are not in view.
    """

    coefficients: Float[Tensor, "*batch 4"]
    max_angle: Float[Tensor, "*batch"]

    @classmethod
    def make(cls, coefficients: Sequence[float], max_angle: float | None = None) -> "KannalaBrandt":
        """Create the lens of a single camera, float64.

        Args:
            coefficients: k1 to k4.
            max_angle: radians; defaults to the angle up to which theta_d increases, at most pi.

        Raises:
            ConfigError: if the coefficients are not four finite numbers, or if theta_d does not
                increase up to ``max_angle``.
        """
        if fault := lens_fault(coefficients, math.nan if max_angle is None else max_angle):
            raise ConfigError(f"A KannalaBrandt lens {fault}.")
        if max_angle is None:
            turn = rising_until(coefficients)
            max_angle = math.pi if turn > math.pi else _TURN_FRACTION * turn
        return cls(
            torch.tensor([float(k) for k in coefficients], dtype=torch.float64),
            torch.tensor(float(max_angle), dtype=torch.float64),
        )

    def project(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "*points 3"], Float[Tensor, "*points"]]:
        x, y, z = points.unbind(-1)
        squared = x * x + y * y
        whole = squared + z * z
        # On the axis the formula is 0 / 0, so its limit 1 / z is used. Roots are never taken of 0,
        # so that gradients are finite too.
        off_axis = squared > torch.finfo(points.dtype).eps ** 2 * whole
        radius = torch.where(off_axis, squared, 1).sqrt()
        limit = self.max_angle.unsqueeze(-1)
        theta = torch.atan2(radius, z)
        seen = torch.where(off_axis, theta <= limit, z > 0)
        scale = torch.where(
            off_axis,
            self._distorted(torch.minimum(theta, limit)) / radius,
            1 / torch.where(z > 0, z, 1),
        )
        distance = torch.where(whole > 0, whole, 1).sqrt() * (whole > 0)
        plane = torch.stack([x * scale, y * scale, torch.ones_like(x)], dim=-1)
        return plane, torch.where(seen, distance, -distance)

    def unproject(self, plane: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        x, y, w = plane.unbind(-1)
        x, y = x / w, y / w
        squared = x * x + y * y
        off_axis = squared > torch.finfo(plane.dtype).eps ** 2
        distorted = torch.where(off_axis, squared, 1).sqrt()
        limit = self.max_angle.unsqueeze(-1)
        seen = (distorted <= self._distorted(limit)) | ~off_axis
        theta = self._angle(distorted)
        scale = torch.where(off_axis, theta.sin() / distorted, 1)
        rays = torch.stack([x * scale, y * scale, torch.where(off_axis, theta.cos(), 1)], dim=-1)
        return torch.where(seen.unsqueeze(-1), rays, torch.nan)

    def _angle(self, distorted: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Invert theta_d by Newton's method, with bisection for steps that leave the bracket.

        Gradients flow through the last step only, which gives the gradients of theta by the
        implicit function theorem.
        """
        with torch.no_grad():
            low = torch.zeros_like(distorted)
            high = self.max_angle.unsqueeze(-1).expand_as(distorted)
            theta = torch.minimum(distorted, high)
            for _ in range(_NEWTON_STEPS):
                error = self._distorted(theta) - distorted
                low, high = torch.where(error <= 0, theta, low), torch.where(error > 0, theta, high)
                step = theta - error / self._slope(theta)
                theta = torch.where((step >= low) & (step <= high), step, (low + high) / 2)
            slope = self._slope(theta)
        return theta - (self._distorted(theta) - distorted) / slope

    def _distorted(self, theta: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Compute theta_d of theta."""
        k1, k2, k3, k4 = self.coefficients.unsqueeze(-2).unbind(-1)
        square = theta * theta
        return theta * (1 + square * (k1 + square * (k2 + square * (k3 + square * k4))))

    def _slope(self, theta: Float[Tensor, "*points"]) -> Float[Tensor, "*points"]:
        """Compute the derivative of theta_d."""
        k1, k2, k3, k4 = self.coefficients.unsqueeze(-2).unbind(-1)
        square = theta * theta
        terms = 5 * k2 + square * (7 * k3 + square * (9 * k4))
        return 1 + square * (3 * k1 + square * terms)


def rising_until(coefficients: Sequence[float]) -> float:
    """Angle (radians) at which theta_d stops rising; infinite if it never does."""
    slope = [factor * k for factor, k in zip((3, 5, 7, 9), coefficients, strict=True)]
    roots = np.roots([1.0, *slope])  # in 1 / theta^2, to avoid dividing by a coefficient
    real = roots.real[(np.abs(roots.imag) < 1e-7 * np.abs(roots)) & (roots.real > 0)]
    return 1 / math.sqrt(real.max()) if len(real) else math.inf


def lens_fault(coefficients: Sequence[float], max_angle: float) -> str:
    """Validate the parameters of a fisheye lens.

    Args:
        coefficients: k1 to k4.
        max_angle: radians; NaN if not given.

    Returns:
        The predicate of an error sentence whose subject is the lens; empty if the lens is valid.
    """
    numbers = [float(k) for k in coefficients]
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        return f"needs four finite coefficients k1 to k4, not {numbers}"
    if math.isnan(max_angle):
        return ""
    if not 0 < max_angle <= math.pi:
        return f"needs a max_angle above 0 and up to pi (radians), not {max_angle:g}"
    if (turn := rising_until(numbers)) <= max_angle:
        return (
            f"with coefficients {numbers} stops widening at {turn:.4g} radians from its axis,"
            f" before its max_angle {max_angle:.4g}; give a smaller max_angle or correct the"
            " coefficients"
        )
    return ""

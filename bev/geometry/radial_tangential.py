"""Lens with radial and tangential distortion: Brown's model and the rational model of OpenCV.

After Brown, Close-Range Camera Calibration (1971), in the form of OpenCV's ``calib3d``. A ray that
meets the plane at distance 1 in (x, y), at the distance r from the axis, is imaged at

    radial = (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6)
    x_d = x radial + 2 p1 x y + p2 (r^2 + 2 x^2)
    y_d = y radial + p1 (r^2 + 2 y^2) + 2 p2 x y
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

_STEPS, _BISECTIONS = 12, 30  # of Newton's method in the plane; of the radius that it starts from
_TURN_FRACTION = 0.999  # of the radius where r * radial stops rising
_WIDEST = math.tan(math.radians(88.0))  # radius up to which the plane is used
_ZERO = 1e-12  # a coefficient that OpenCV's models of 12 and 14 numbers leave out
NUMBERS = (4, 5, 8, 12, 14)
"""Lengths of OpenCV's vectors of coefficients."""


@dataclass(frozen=True)
class RadialTangential(Lens):
    """Lens with radial and tangential distortion; depth is z, as for a pinhole.

    Create one with :meth:`make`, which validates the parameters.

    Attributes:
        coefficients: ``(*batch, 8)`` k1, k2, p1, p2, k3, k4, k5, k6: OpenCV's order.
        max_radius: ``(*batch)`` distance from the axis on the plane at distance 1, the tangent of
            half the field of view; r * radial must increase up to it. Points beyond are not in
            view.
    """

    coefficients: Float[Tensor, "*batch 8"]
    max_radius: Float[Tensor, "*batch"]

    @classmethod
    def make(cls, coefficients: Sequence[float]) -> "RadialTangential":
        """Create the lens of a single camera, float64.

        Args:
            coefficients: 4 (k1, k2, p1, p2), 5 (and k3) or 8 (and k4, k5, k6) numbers; of OpenCV's
                12 and 14 the last ones must be 0.

        Raises:
            ConfigError: if the coefficients are not such numbers.
        """
        if fault := radial_tangential_fault(coefficients):
            raise ConfigError(f"A RadialTangential lens {fault}.")
        numbers = ([float(k) for k in coefficients] + [0.0] * 4)[:8]
        turn = rising_radius(numbers)
        radius = _WIDEST if turn > _WIDEST else _TURN_FRACTION * turn
        return cls(
            torch.tensor(numbers, dtype=torch.float64), torch.tensor(radius, dtype=torch.float64)
        )

    def project(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "*points 3"], Float[Tensor, "*points"]]:
        x, y, z = points.unbind(-1)
        ahead = z > 0
        z_or_1 = torch.where(ahead, z, 1)
        x, y = x / z_or_1, y / z_or_1
        inside = x * x + y * y <= self.max_radius.unsqueeze(-1).square()
        # Points out of view are moved to the axis, where everything is finite.
        x, y = torch.where(inside, x, 0), torch.where(inside, y, 0)
        plane = torch.stack([*self._distorted(x, y), torch.ones_like(x)], dim=-1)
        return plane, torch.where(inside | ~ahead, z, -z)

    def unproject(self, plane: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        x_d, y_d, w = plane.unbind(-1)
        x_d, y_d = x_d / w, y_d / w
        limit = self.max_radius.unsqueeze(-1)
        with torch.no_grad():
            x, y = self._radial_start(x_d, y_d)
            for _ in range(_STEPS):
                x, y = self._newton(x, y, x_d, y_d)
                # A step that leaves the field of view ends at its border.
                shrink = (limit / (x * x + y * y).sqrt().clamp(min=1e-12)).clamp(max=1)
                x, y = x * shrink, y * shrink
            found_x, found_y = self._distorted(x, y)
            size = 1 + x_d.abs() + y_d.abs()
            off = (found_x - x_d).abs() + (found_y - y_d).abs()
            seen = off <= torch.finfo(plane.dtype).eps ** 0.5 * size
        x, y = self._newton(x, y, x_d, y_d)  # gradients by the implicit function theorem
        rays = torch.stack([x, y, torch.ones_like(x)], dim=-1)
        return torch.where(seen.unsqueeze(-1), rays, torch.nan)

    def _distorted(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Distorted coordinates on the plane."""
        _, _, p1, p2 = self._coefficients[:4]
        square, cross = x * x + y * y, 2 * x * y
        radial = self._radial(square)
        return (
            x * radial + p1 * cross + p2 * (square + 2 * x * x),
            y * radial + p2 * cross + p1 * (square + 2 * y * y),
        )

    @property
    def _coefficients(self) -> tuple[Tensor, ...]:
        return self.coefficients.unsqueeze(-2).unbind(-1)

    def _radial(self, square: Tensor) -> Tensor:
        k1, k2, _, _, k3, k4, k5, k6 = self._coefficients
        above = 1 + square * (k1 + square * (k2 + square * k3))
        return above / (1 + square * (k4 + square * (k5 + square * k6)))

    def _radial_start(self, x_d: Tensor, y_d: Tensor) -> tuple[Tensor, Tensor]:
        """Undistorted coordinates of the radial part alone, by bisection."""
        wanted = (x_d * x_d + y_d * y_d).sqrt()
        low = torch.zeros_like(wanted)
        high = self.max_radius.unsqueeze(-1).expand_as(wanted)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            short = middle * self._radial(middle * middle) < wanted
            low, high = torch.where(short, middle, low), torch.where(short, high, middle)
        scale = (low + high) / 2 / wanted.clamp(min=1e-12)
        return x_d * scale, y_d * scale

    def _newton(self, x: Tensor, y: Tensor, x_d: Tensor, y_d: Tensor) -> tuple[Tensor, Tensor]:
        """One step of Newton's method for the coordinates that are distorted to x_d, y_d."""
        k1, k2, p1, p2, k3, k4, k5, k6 = self._coefficients
        with torch.no_grad():
            square = x * x + y * y
            below = 1 + square * (k4 + square * (k5 + square * k6))
            radial = self._radial(square)
            rising = k1 + square * (2 * k2 + 3 * square * k3)
            slope = (rising - radial * (k4 + square * (2 * k5 + 3 * square * k6))) / below
            xx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
            yy = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
            xy = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
            determinant = xx * yy - xy * xy
            determinant = torch.where(determinant.abs() > 1e-12, determinant, torch.nan)
        found_x, found_y = self._distorted(x, y)
        dx, dy = found_x - x_d, found_y - y_d
        step_x, step_y = (yy * dx - xy * dy) / determinant, (xx * dy - xy * dx) / determinant
        return x - torch.nan_to_num(step_x), y - torch.nan_to_num(step_y)


def rising_radius(coefficients: Sequence[float]) -> float:
    """Distance from the axis at which r * radial stops rising; infinite if it never does.

    Args:
        coefficients: k1, k2, p1, p2, k3, k4, k5, k6.
    """
    k1, k2, _, _, k3, k4, k5, k6 = coefficients
    above, below = np.poly1d([k3, k2, k1, 1.0]), np.poly1d([k6, k5, k4, 1.0])
    # The derivative's numerator in r^2; the radial part has a pole where ``below`` is 0.
    twice = np.poly1d([2.0, 0.0])
    slope = above * below + twice * (above.deriv() * below - above * below.deriv())
    # Both are 1 at 0. Roots are those in 1 / r^2, to avoid dividing by a small coefficient.
    roots = np.concatenate([np.roots(part.coeffs[::-1]) for part in (slope, below)])
    real = roots.real[(np.abs(roots.imag) < 1e-7 * np.abs(roots)) & (roots.real > 0)]
    return 1 / math.sqrt(real.max()) if len(real) else math.inf


def radial_tangential_fault(coefficients: Sequence[float]) -> str:
    """Validate coefficients.

    Returns:
        The predicate of an error sentence whose subject is the lens; empty if they are valid.
    """
    numbers = [float(k) for k in coefficients]
    if len(numbers) not in NUMBERS or not all(map(math.isfinite, numbers)):
        return (
            "needs 4, 5 or 8 finite coefficients (k1, k2, p1, p2, k3, k4, k5, k6), not"
            f" {numbers[:15]}"
        )
    if any(abs(k) > _ZERO for k in numbers[8:]):
        return f"has thin-prism or tilt coefficients {numbers[8:]}, which are not modelled"
    return ""

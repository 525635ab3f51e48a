"""BEV grid: the cells of points, and the centres of cells.

Tensors over the grid are indexed ``[..., y, x]``. Cell (iy, ix) covers
``[x_lo + ix * step, x_lo + (ix + 1) * step)`` in x, and likewise in y.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bev.bounds import check_clashes

Axis = tuple[float, float, float]

MOST_CELLS = 10**8


@dataclass(frozen=True)
class BevGrid:
    """Ranges and steps (lo, hi, step) in metres along x (forward), y (left) and z (up).

    Raises:
        ConfigError: if a step is not positive or does not divide its range, or if there are more
            than ``MOST_CELLS`` cells.
    """

    x: Axis = (-51.2, 51.2, 0.8)
    y: Axis = (-51.2, 51.2, 0.8)
    z: Axis = (-5.0, 3.0, 8.0)

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about axes that cannot be used."""
        sound = True
        for name in "xyz":
            lo, hi, step = getattr(self, name)
            if not (0 < step < math.inf and -math.inf < lo < hi < math.inf):
                yield f"BevGrid.{name} = ({lo}, {hi}, {step}) needs lo < hi and a positive step."
                sound = False
                continue
            steps = (hi - lo) / step
            if not math.isfinite(steps):
                yield (
                    f"BevGrid.{name} = ({lo}, {hi}, {step}) holds more cells than can be counted;"
                    " choose a smaller range or a larger step."
                )
                sound = False
            elif abs(steps - round(steps)) > 1e-3:
                yield (
                    f"BevGrid.{name} = ({lo}, {hi}, {step}) holds {steps:.3f} cells; choose a step"
                    " that divides the range."
                )
        if sound and math.prod(self.shape) > MOST_CELLS:
            yield (
                f"{self} holds {math.prod(self.shape)} cells, more than {MOST_CELLS}; choose larger"
                " steps."
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of cells (Z, Y, X)."""
        return _cells(self.z), _cells(self.y), _cells(self.x)

    def locate(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Int[Tensor, "*points 3"], Bool[Tensor, "*points"]]:
        """Cell indices (iz, iy, ix) of points (metres), and a mask of the points inside the grid.

        Indices of points outside, including NaN and infinite points, are zero.
        """
        indices, inside = self.floor(*points.unbind(dim=-1))
        cells = torch.stack(indices[::-1], dim=-1)
        cells = torch.where(inside.unsqueeze(-1), cells, torch.zeros_like(cells))
        return cells.long(), inside

    def floor(
        self,
        x: Float[Tensor, "*points"],
        y: Float[Tensor, "*points"],
        z: Float[Tensor, "*points"],
        *,
        truncate: bool = False,
    ) -> tuple[tuple[Float[Tensor, "*points"], ...], Bool[Tensor, "*points"]]:
        """Cell indices (ix, iy, iz) of coordinates (metres) as floats, and a mask of points inside.

        Indices of points outside the grid are not clamped. With ``truncate``, indices are rounded
        towards zero, as by the integer casts of published code: points up to one cell below a range
        are counted in its cell 0.
        """
        indices, beyond = [], torch.zeros_like(x)
        for coordinate, (lo, _, step), size in zip(
            (x, y, z), (self.x, self.y, self.z), self.shape[::-1], strict=True
        ):
            if truncate:
                index = coordinate.sub(lo).div_(step).trunc_()
            else:
                index = coordinate.sub(lo).mul_(1 / step).floor_()
            # Sum the squared excess over all axes, to compare only once (NaN counts as outside).
            excess = index.clamp(0, size - 1).sub_(index)
            beyond.addcmul_(excess, excess)
            indices.append(index)
        return tuple(indices), beyond.bool().logical_not_()

    def centers(self, device: torch.device | str | None = None) -> Float[Tensor, "Y X 2"]:
        """Centre (x, y) of each cell, metres."""
        _, rows, columns = self.shape
        x = self.x[0] + (torch.arange(columns, device=device) + 0.5) * self.x[2]
        y = self.y[0] + (torch.arange(rows, device=device) + 0.5) * self.y[2]
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        return torch.stack([xx, yy], dim=-1)


def _cells(axis: Axis) -> int:
    lo, hi, step = axis
    return round((hi - lo) / step)

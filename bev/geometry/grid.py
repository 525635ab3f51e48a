"""The BEV grid: which cell a point falls into, and where the cells are.

Tensors over the grid are indexed ``[..., y, x]``. Cell (iy, ix) covers
``[x_lo + ix * step, x_lo + (ix + 1) * step)`` and likewise in y.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Axis = tuple[float, float, float]


@dataclass(frozen=True)
class BevGrid:
    """Ranges and steps (lo, hi, step) in metres along x (forward), y (left) and z (up).

    Raises:
        ValueError: where a step is not positive or does not divide its range.
    """

    x: Axis = (-51.2, 51.2, 0.8)
    y: Axis = (-51.2, 51.2, 0.8)
    z: Axis = (-5.0, 3.0, 8.0)

    def __post_init__(self) -> None:
        for name in "xyz":
            lo, hi, step = getattr(self, name)
            if not (step > 0 and hi > lo):
                raise ValueError(
                    f"BevGrid.{name} = ({lo}, {hi}, {step}) needs lo < hi and a positive step."
                )
            steps = (hi - lo) / step
            if abs(steps - round(steps)) > 1e-3:
                raise ValueError(
                    f"BevGrid.{name} = ({lo}, {hi}, {step}) holds {steps:.3f} cells; choose a step"
                    " that divides the range."
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of cells (Z, Y, X)."""
        return tuple(round((hi - lo) / step) for lo, hi, step in (self.z, self.y, self.x))

    def locate(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Int[Tensor, "*points 3"], Bool[Tensor, "*points"]]:
        """Cell indices (iz, iy, ix) of points (metres), and whether they lie in the grid.

        Indices of points outside (NaN and infinite ones included) are zero.
        """
        indices, inside = self.floor(*points.unbind(dim=-1))
        cells = torch.stack(indices[::-1], dim=-1)
        cells = torch.where(inside.unsqueeze(-1), cells, torch.zeros_like(cells))
        return cells.long(), inside

    def floor(
        self, x: Float[Tensor, "*points"], y: Float[Tensor, "*points"], z: Float[Tensor, "*points"]
    ) -> tuple[tuple[Float[Tensor, "*points"], ...], Bool[Tensor, "*points"]]:
        """Cell indices (ix, iy, iz) of coordinates (metres) as floats, and which are in the grid.

        Indices of points outside are not limited.
        """
        indices, beyond = [], torch.zeros_like(x)
        for coordinate, (lo, _, step), size in zip(
            (x, y, z), (self.x, self.y, self.z), self.shape[::-1], strict=True
        ):
            # floor, never a cast: a cast would fold the cell below the range into cell 0.
            index = coordinate.sub(lo).mul_(1 / step).floor_()
            # Cells beyond the range, squared and summed: one comparison is left (NaN is beyond).
            excess = index.clamp(0, size - 1).sub_(index)
            beyond.addcmul_(excess, excess)
            indices.append(index)
        return tuple(indices), beyond.bool().logical_not_()

    def centers(self, device: torch.device | str | None = None) -> Float[Tensor, "Y X 2"]:
        """The centre (x, y) of each cell, metres."""
        _, rows, columns = self.shape
        x = self.x[0] + (torch.arange(columns, device=device) + 0.5) * self.x[2]
        y = self.y[0] + (torch.arange(rows, device=device) + 0.5) * self.y[2]
        yy, xx = torch.meshgrid(y, x, indexing="ij")
        return torch.stack([xx, yy], dim=-1)

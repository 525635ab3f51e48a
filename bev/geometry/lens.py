"""Lenses: projection from the camera frame to a plane, and back.

Every central camera is modelled as a lens followed by one 3x3 matrix. The lens maps points of the
camera frame to homogeneous coordinates on a plane at distance 1 (the identity for a pinhole) and
computes their depth. The matrix, intrinsics and image augmentation, maps the plane to pixels. A
camera model is therefore a class with two methods, and image augmentation does not depend on it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Lens:
    """Base class of camera models. A subclass is a frozen dataclass that defines both methods.

    The fields are tensors whose leading dimensions are the batch dimensions of the cameras, such as
    (B, N, 4) or (B, N); for a single camera there are no batch dimensions. Fields are stacked,
    indexed and moved between devices together with the cameras.

    Attributes:
        straight: whether straight lines in space are straight in the image.
    """

    straight: ClassVar[bool] = False

    def project(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "*points 3"], Float[Tensor, "*points"]]:
        """Project points of the camera frame to homogeneous coordinates on the plane, and depth.

        Args:
            points: ``(*batch, P, 3)``, metres; for a single camera (..., P, 3).

        Returns:
            Coordinates on the plane, finite wherever the depth is positive, and the depth in
            metres: the factor by which a ray of depth 1 reaches the point. The depth is zero or
            negative for points outside the field of view.
        """
        raise NotImplementedError

    def unproject(self, plane: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        """Compute camera-frame rays of depth 1 through homogeneous coordinates on the plane.

        NaN outside the field of view; such pixels are not lifted.
        """
        raise NotImplementedError

    def map(self, change: Callable[[Tensor], Tensor]) -> "Lens":
        """Apply a function to every tensor."""

        def changed(value):
            if isinstance(value, Tensor):
                return change(value)
            if isinstance(value, tuple):
                return tuple(map(changed, value))
            return value.map(change)

        return type(self)(**{f.name: changed(getattr(self, f.name)) for f in fields(self)})

    def to(self, *args, **kwargs) -> "Lens":
        """Apply ``Tensor.to`` to every field; integer tensors keep their dtype."""
        return self.map(lambda value: _moved(value, value.to(*args, **kwargs)))

    def __getitem__(self, index) -> "Lens":
        """Index the batch dimensions."""
        return self.map(lambda value: value[index])

    def each(self, count: int) -> "list[Lens]":
        """Split the first batch dimension into the lenses of ``count`` cameras."""
        return [self[i] for i in range(count)]


@dataclass(frozen=True)
class Pinhole(Lens):
    """Pinhole camera: depth is z, rays have z = 1."""

    straight: ClassVar[bool] = True

    def project(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "*points 3"], Float[Tensor, "*points"]]:
        return points, points[..., 2]

    def unproject(self, plane: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        return plane


@dataclass(frozen=True)
class MixedLens(Lens):
    """Lenses of several classes in one batch; all are evaluated for all cameras, then selected.

    Attributes:
        lenses: one lens of each class, for all cameras of the batch.
        kind: ``(*batch)`` index into ``lenses`` of each camera.
    """

    lenses: tuple[Lens, ...]
    kind: Int[Tensor, "*batch"]

    def project(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "*points 3"], Float[Tensor, "*points"]]:
        planes, depths = zip(*(lens.project(points) for lens in self.lenses), strict=True)
        return self._selected(planes, 2), self._selected(depths, 1)

    def unproject(self, plane: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        return self._selected([lens.unproject(plane) for lens in self.lenses], 2)

    def _selected(self, results: Sequence[Tensor], dimensions: int) -> Tensor:
        """Select each camera's result; results have ``dimensions`` dimensions after the batch."""
        kind = self.kind[(..., *[None] * dimensions)]
        selected = results[0]
        for number, result in enumerate(results[1:], 1):
            selected = torch.where(kind == number, result, selected)
        return selected

    def each(self, count: int) -> list[Lens]:
        return [self.lenses[kind][i] for i, kind in enumerate(self.kind[:count].tolist())]


def stack_lenses(lenses: Sequence[Lens]) -> Lens:
    """Stack the lenses of N single cameras; a ``MixedLens`` if their classes differ."""
    kinds = list(dict.fromkeys(map(type, lenses)))
    stacked = []
    for kind in kinds:
        filler = next(lens for lens in lenses if type(lens) is kind)  # for cameras of other classes
        row = [lens if type(lens) is kind else filler for lens in lenses]
        values = {f.name: [getattr(lens, f.name) for lens in row] for f in fields(kind)}
        stacked.append(kind(**{name: torch.stack(parts) for name, parts in values.items()}))
    if len(kinds) == 1:
        return stacked[0]
    return MixedLens(tuple(stacked), torch.tensor([kinds.index(type(lens)) for lens in lenses]))


def _moved(before: Tensor, after: Tensor) -> Tensor:
    return after if before.is_floating_point() else after.to(before.dtype)

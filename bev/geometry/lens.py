"""Lenses: from directions in the camera frame to a plane, and back.

The idea: every central camera is a lens followed by one 3x3 matrix. The lens maps points of the
camera frame to homogeneous coordinates on a plane at distance 1 (for a pinhole that is the
identity) and gives their depth; intrinsics and image augmentation, as a matrix, make pixels of
them. So a camera model is one class of two functions, and nothing that augments, resizes or mirrors
images knows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Lens:
    """Base of the camera models. A subclass is a frozen dataclass with the two functions.

    Its fields are tensors that begin with the batch dimensions of the cameras, such as (B, N, 4),
    or have these alone, such as (B, N); a single camera's have none. They are stacked, indexed and
    moved between devices with the cameras.

    Attributes:
        straight: whether straight lines in space are straight in images.
    """

    straight: ClassVar[bool] = False

    def project(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "*points 3"], Float[Tensor, "*points"]]:
        """Points of the camera frame to homogeneous coordinates on the plane, and depth.

        Args:
            points: ``(*batch, P, 3)``, metres; for a single camera (..., P, 3).

        Returns:
            The plane's coordinates, finite wherever depth is above 0, and the depth in metres: what
            a ray of depth 1 is multiplied by to reach the point. It is not above 0 where the lens
            does not see the point.
        """
        raise NotImplementedError

    def unproject(self, plane: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        """Homogeneous coordinates on the plane to camera-frame rays of depth 1.

        NaN where the lens sees nothing: such pixels are lifted nowhere.
        """
        raise NotImplementedError

    def map(self, change: Callable[[Tensor], Tensor]) -> "Lens":
        """The lens with every tensor changed."""

        def changed(value):
            if isinstance(value, Tensor):
                return change(value)
            if isinstance(value, tuple):
                return tuple(map(changed, value))
            return value.map(change)

        return type(self)(**{f.name: changed(getattr(self, f.name)) for f in fields(self)})

    def to(self, *args, **kwargs) -> "Lens":
        """Like ``Tensor.to``, for every field; whole numbers stay whole."""
        return self.map(lambda value: _moved(value, value.to(*args, **kwargs)))

    def __getitem__(self, index) -> "Lens":
        """Index the batch dimensions."""
        return self.map(lambda value: value[index])

    def each(self, count: int) -> "list[Lens]":
        """The lens of each of ``count`` cameras, the first batch dimension."""
        return [self[i] for i in range(count)]


@dataclass(frozen=True)
class Pinhole(Lens):
    """The pinhole camera: depth is z, rays have z = 1."""

    straight: ClassVar[bool] = True

    def project(
        self, points: Float[Tensor, "*points 3"]
    ) -> tuple[Float[Tensor, "*points 3"], Float[Tensor, "*points"]]:
        return points, points[..., 2]

    def unproject(self, plane: Float[Tensor, "*points 3"]) -> Float[Tensor, "*points 3"]:
        return plane


@dataclass(frozen=True)
class MixedLens(Lens):
    """Lenses of several classes in one batch of cameras; each is evaluated, and its own selected.

    Attributes:
        lenses: one of each class, for all cameras of the batch.
        kind: ``(*batch)`` which of them each camera has.
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
        """Each camera's own result; results have so many dimensions behind those of the batch."""
        kind = self.kind[(..., *[None] * dimensions)]
        selected = results[0]
        for number, result in enumerate(results[1:], 1):
            selected = torch.where(kind == number, result, selected)
        return selected

    def each(self, count: int) -> list[Lens]:
        return [self.lenses[kind][i] for i, kind in enumerate(self.kind[:count].tolist())]


def stack_lenses(lenses: Sequence[Lens]) -> Lens:
    """Lenses of single cameras as one of a batch (N,), a ``MixedLens`` where classes differ."""
    kinds = list(dict.fromkeys(map(type, lenses)))
    stacked = []
    for kind in kinds:
        of_kind = next(lens for lens in lenses if type(lens) is kind)  # in the place of others
        row = [lens if type(lens) is kind else of_kind for lens in lenses]
        values = {f.name: [getattr(lens, f.name) for lens in row] for f in fields(kind)}
        stacked.append(kind(**{name: torch.stack(parts) for name, parts in values.items()}))
    if len(kinds) == 1:
        return stacked[0]
    return MixedLens(tuple(stacked), torch.tensor([kinds.index(type(lens)) for lens in lenses]))


def _moved(before: Tensor, after: Tensor) -> Tensor:
    return after if before.is_floating_point() else after.to(before.dtype)

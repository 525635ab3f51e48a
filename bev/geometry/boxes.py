"""3D boxes as named tensors, transformed between frames by one matrix.

Unlike in nuScenes, ``size`` is (length, width, height) along the box's own x, y and z, and the
heading is one yaw angle. Only ``bev.data.nuscenes.boxes`` uses the nuScenes format.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.geometry.transforms import apply_transform, rotation_z

# Signs of the eight corners, in units of half the size: the front four first, each face in the
# order (left, top), (right, top), (right, bottom), (left, bottom).
_CORNERS = (
    (1, 1, 1), (1, -1, 1), (1, -1, -1), (1, 1, -1),
    (-1, 1, 1), (-1, -1, 1), (-1, -1, -1), (-1, 1, -1),
)  # fmt: skip


@dataclass(frozen=True)
class Boxes3D:
    """M boxes in one right-handed frame with z up (ego, BEV or global).

    Attributes:
        center: (M, 3) geometric centre, metres.
        size: (M, 3) length, width, height, metres.
        yaw: (M,) radians, counter-clockwise about z from +x.
        velocity: (M, 2) vx, vy in the same frame, metres per second; NaN where unknown.
        label: (M,) index into the label space's classes.
        score: (M,) confidence; 1 for ground truth.
        attribute: (M,) index into the label space's attributes; -1 for none.
        visibility: (M,) nuScenes level 1 (0-40 %) to 4 (80-100 %); 0 where unknown.
    """

    center: Float[Tensor, "M 3"]
    size: Float[Tensor, "M 3"]
    yaw: Float[Tensor, " M"]
    velocity: Float[Tensor, "M 2"]
    label: Int[Tensor, " M"]
    score: Float[Tensor, " M"]
    attribute: Int[Tensor, " M"]
    visibility: Int[Tensor, " M"]

    @classmethod
    def make(
        cls,
        center: Tensor,
        size: Tensor,
        yaw: Tensor,
        velocity: Tensor | None = None,
        label: Tensor | None = None,
        score: Tensor | None = None,
        attribute: Tensor | None = None,
        visibility: Tensor | None = None,
    ) -> "Boxes3D":
        """Create boxes.

        Defaults: unknown velocity, label 0, score 1, no attribute, unknown visibility.
        """
        count, device = len(center), center.device
        return cls(
            center=center,
            size=size,
            yaw=yaw,
            velocity=center.new_full((count, 2), torch.nan) if velocity is None else velocity,
            label=_integers(count, 0, device) if label is None else label,
            score=center.new_ones(count) if score is None else score,
            attribute=_integers(count, -1, device) if attribute is None else attribute,
            visibility=_integers(count, 0, device) if visibility is None else visibility,
        )

    @classmethod
    def empty(cls, device: torch.device | str | None = None) -> "Boxes3D":
        """Create an empty set of boxes."""
        none = torch.zeros(0, 3, device=device)
        return cls.make(none, none.clone(), none[:, 0].clone())

    @classmethod
    def cat(cls, parts: Sequence["Boxes3D"]) -> "Boxes3D":
        """Concatenate boxes in order; an empty sequence gives an empty set."""
        if not parts:
            return cls.empty()
        return cls(**{f.name: torch.cat([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    def __len__(self) -> int:
        return len(self.center)

    def __getitem__(self, index: Tensor | slice) -> "Boxes3D":
        """Select boxes by a mask, indices or a slice."""
        return Boxes3D(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Boxes3D":
        """Copy the boxes to a device."""
        return Boxes3D(
            **{f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
               for f in fields(self)}
        )  # fmt: skip

    def double(self) -> "Boxes3D":
        """Convert to float64, which coordinates in the global frame need."""
        return Boxes3D(
            **{
                f.name: value.double() if value.is_floating_point() else value
                for f in fields(self)
                for value in [getattr(self, f.name)]
            }
        )

    def corners(self) -> Float[Tensor, "M 8 3"]:
        """Corners: indices 0-3 are the front face, 4-7 the rear face.

        The order within a face is left top, right top, right bottom, left bottom, as seen along the
        heading.
        """
        offsets = self.size.unsqueeze(1) * self.size.new_tensor(_CORNERS) / 2
        return offsets @ rotation_z(self.yaw).transpose(-1, -2) + self.center.unsqueeze(1)

    def footprint(self) -> Float[Tensor, "M 4 2"]:
        """BEV corners of the boxes: front left, front right, rear right, rear left."""
        return self.corners()[:, [3, 2, 6, 7], :2]

    def transform(self, target_from_source: Float[Tensor, "4 4"]) -> "Boxes3D":
        """Transform the boxes into the target frame.

        The matrix is rigid or a BEV augmentation (rotation about z, uniform scale, flips). Sizes
        and velocities are scaled with it. Headings and velocities are rotated (or reflected) in the
        xy plane by the orthogonal matrix nearest to its 2x2 part. If the matrix tilts z (pitch and
        roll of the ego vehicle), boxes therefore stay level, and the inverse matrix restores them.
        """
        linear = target_from_source[:3, :3].to(self.center)
        scale = torch.linalg.det(linear).abs() ** (1 / 3)
        plane = _nearest_orthogonal(linear[:2, :2])
        heading = torch.stack([torch.cos(self.yaw), torch.sin(self.yaw)], dim=-1) @ plane.T
        return replace(
            self,
            center=apply_transform(target_from_source.to(self.center), self.center),
            size=self.size * scale,
            yaw=torch.atan2(heading[:, 1], heading[:, 0]),
            velocity=self.velocity @ plane.T * scale,
        )


def _nearest_orthogonal(matrix: Float[Tensor, "2 2"]) -> Float[Tensor, "2 2"]:
    """Nearest rotation to a matrix; the nearest reflection if its determinant is negative."""
    (a, b), (c, d) = matrix
    if torch.linalg.det(matrix) >= 0:
        first, second = torch.stack([a + d, b - c]), torch.stack([c - b, a + d])
    else:
        first, second = torch.stack([a - d, b + c]), torch.stack([b + c, d - a])
    return torch.stack([first, second]) / torch.linalg.norm(first)


def _integers(count: int, value: int, device: torch.device) -> Int[Tensor, " M"]:
    return torch.full((count,), value, dtype=torch.long, device=device)

"""4x4 transforms: construction, inversion and application to points.

Each transform is one matrix named ``target_from_source``. Products read from right to left, so a
wrong order is visible in the names.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

_ROUNDED = 1e-3  # on R R^T - I; rotations rounded to three decimals stay below


def rigid_transform(
    rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """4x4 matrix of a rotation followed by a translation (metres)."""
    top = torch.cat([rotation, translation.unsqueeze(-1)], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)


def inverse_rigid(
    target_from_source: Float[Tensor, "*batch 4 4"],
) -> Float[Tensor, "*batch 4 4"]:
    """Invert a rigid transform without a general matrix inversion.

    The 3x3 part must be a rotation; use ``torch.inverse`` for a BEV matrix with scale.
    """
    rotation = target_from_source[..., :3, :3].transpose(-1, -2)
    translation = -(rotation @ target_from_source[..., :3, 3:]).squeeze(-1)
    return rigid_transform(rotation, translation)


def is_rigid(matrix: Float[Tensor, "4 4"]) -> bool:
    """Return whether a matrix is a rotation, which does not mirror, and a finite translation."""
    return not rigid_fault(matrix)


def rigid_fault(matrix: Float[Tensor, "4 4"]) -> str:
    """The reason why a matrix is no rigid transform, which continues a sentence; or an empty text.

    Rotations may be rounded: R R^T may differ from the identity by a thousandth.
    """
    values = matrix.detach().cpu().double().numpy()
    rotation = values[:3, :3]
    if not np.isfinite(values).all():
        return "has numbers that are not finite"
    if np.abs(values[3] - (0.0, 0.0, 0.0, 1.0)).max() > 1e-6:
        return f"has the last row {values[3].tolist()}, not 0, 0, 0, 1"
    with np.errstate(all="ignore"):
        off = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not off <= _ROUNDED:
        return (
            f"has a rotation that is not orthonormal (R R^T differs from the identity by {off:.2g})"
        )
    return "" if np.linalg.det(rotation) > 0 else "mirrors (its determinant is -1)"


def apply_transform(
    target_from_source: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*points 3"]
) -> Float[Tensor, "*moved 3"]:
    """Transform points of the source frame into the target frame.

    A matrix of shape (4, 4) is applied to points of any shape (..., 3), a batch of matrices
    ``(*batch, 4, 4)`` to points of shape ``(*batch, P, 3)``.
    """
    rotation, translation = target_from_source[..., :3, :3], target_from_source[..., :3, 3]
    if target_from_source.dim() > 2:
        translation = translation.unsqueeze(-2)
    return points @ rotation.transpose(-1, -2) + translation


def rotation_z(yaw: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrix about z by ``yaw`` radians, counter-clockwise."""
    cos, sin = torch.cos(yaw), torch.sin(yaw)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).reshape(*yaw.shape, 3, 3)


def bev_transform(
    rotation: float = 0.0, scale: float = 1.0, flip_x: bool = False, flip_y: bool = False
) -> Float[Tensor, "4 4"]:
    """BEV augmentation ``bev_from_ego``: rotate about z (radians), scale, then flip axes.

    ``flip_x`` negates x and swaps front and back; ``flip_y`` negates y and swaps left and right.
    Order and ranges follow BEVDet (Huang et al. 2021, section 3.3).
    """
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = scale * rotation_z(torch.tensor(rotation, dtype=torch.float64))
    flips = torch.tensor([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0, 1.0, 1.0])
    return (flips.double().diag() @ matrix).float()

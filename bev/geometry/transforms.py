"""4x4 transforms: made from parts, inverted, applied to points.

The idea: one matrix per transform, named ``target_from_source``, so that products read from right
to left and a wrong order shows in the names.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def rigid_transform(
    rotation: Float[Tensor, "*batch 3 3"], translation: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch 4 4"]:
    """The 4x4 matrix that rotates, then translates (metres)."""
    top = torch.cat([rotation, translation.unsqueeze(-1)], dim=-1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], dim=-2)


def inverse_rigid(
    target_from_source: Float[Tensor, "*batch 4 4"],
) -> Float[Tensor, "*batch 4 4"]:
    """``source_from_target`` of a rigid transform, without a general matrix inversion.

    Exact only where the 3x3 part is a rotation; a BEV matrix with scale needs ``torch.inverse``.
    """
    rotation = target_from_source[..., :3, :3].transpose(-1, -2)
    translation = -(rotation @ target_from_source[..., :3, 3:]).squeeze(-1)
    return rigid_transform(rotation, translation)


def apply_transform(
    target_from_source: Float[Tensor, "*batch 4 4"], points: Float[Tensor, "*points 3"]
) -> Float[Tensor, "*moved 3"]:
    """Points of the source frame, expressed in the target frame.

    A matrix of shape (4, 4) takes points of any shape (..., 3). A batch of matrices
    ``(*batch, 4, 4)`` takes points of shape ``(*batch, P, 3)``.
    """
    rotation, translation = target_from_source[..., :3, :3], target_from_source[..., :3, 3]
    if target_from_source.dim() > 2:
        translation = translation.unsqueeze(-2)
    return points @ rotation.transpose(-1, -2) + translation


def rotation_z(yaw: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation by ``yaw`` radians counter-clockwise about z."""
    cos, sin = torch.cos(yaw), torch.sin(yaw)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    rows = [cos, -sin, zero, sin, cos, zero, zero, zero, one]
    return torch.stack(rows, dim=-1).reshape(*yaw.shape, 3, 3)


def bev_transform(
    rotation: float = 0.0, scale: float = 1.0, flip_x: bool = False, flip_y: bool = False
) -> Float[Tensor, "4 4"]:
    """``bev_from_ego`` of a BEV augmentation: rotate about z (radians), scale, then flip axes.

    ``flip_x`` negates x (front and back change places), ``flip_y`` negates y (left and right).
    Order and ranges follow BEVDet (Huang et al. 2021, section 3.3).
    """
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = scale * rotation_z(torch.tensor(rotation, dtype=torch.float64))
    flips = torch.tensor([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0, 1.0, 1.0])
    return (flips.double().diag() @ matrix).float()

"""Removal of distortion: positions in a stored image of the pixels of an undistorted one.

Each pixel of the network's image is followed back to a ray, by the camera that the network is
given, and the ray to a position in the file, by the camera that took the image. The file is
therefore sampled once, whatever the augmentation.
"""

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from bev.data.frame import CameraFrame
from bev.geometry import Cameras

_OUTSIDE = -1e6  # position of pixels that the stored image does not show


def file_positions(
    camera: CameraFrame, image_from_original: Float[Tensor, "3 3"], size: tuple[int, int]
) -> Float32[np.ndarray, "H W 2"]:
    """Positions (x, y) in the file, continuous pixels, of the pixels of an image of ``size``.

    Pixels whose rays the stored image's lens does not see have a position outside of every image.

    Args:
        camera: camera with the calibration of its file, ``camera.stored``.
        image_from_original: augmentation matrix of the image.
        size: (H, W) of the image, pixels.
    """
    stored = camera.stored
    if stored is None:
        raise ValueError(f"camera {camera.name} has no calibration of its file")
    y, x = torch.meshgrid(
        *(torch.arange(side, dtype=torch.float64) + 0.5 for side in size), indexing="ij"
    )
    shown = Cameras(
        camera.intrinsics, camera.ego_from_camera, image_from_original.double(), camera.lens
    )
    rays = shown.rays(torch.stack([x, y], dim=-1).reshape(-1, 2))
    known = rays.isfinite().all(dim=-1)
    plane, depth = stored.lens.project(torch.where(known[:, None], rays, 0))
    homogeneous = plane @ stored.intrinsics.T
    positions = homogeneous[:, :2] / homogeneous[:, 2:]
    seen = known & (depth > 0) & positions.isfinite().all(dim=-1)
    positions = torch.where(seen[:, None], positions, _OUTSIDE).clamp(_OUTSIDE, -_OUTSIDE)
    return positions.float().numpy().reshape(*size, 2)


def file_scale(
    camera: CameraFrame, image_from_original: Float[Tensor, "3 3"]
) -> Float[Tensor, "3 3"]:
    """Matrix from pixels of the file to those of the network's image, near the optical axis."""
    if camera.stored is None:
        return image_from_original.double()
    return (
        image_from_original.double() @ camera.intrinsics @ torch.inverse(camera.stored.intrinsics)
    )

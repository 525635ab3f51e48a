"""Image augmentation matrix ``image_from_original``: augmented pixels from original pixels.

Scaling, cropping, flipping and rotation form one affine map in continuous image coordinates (pixel
centres at integer + 0.5). The same 3x3 matrix warps the image and is stored with the intrinsics, so
an image and its calibration always agree.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def image_affine(
    size: tuple[int, int],
    scale: float = 1.0,
    crop: tuple[float, float] = (0.0, 0.0),
    flip: bool = False,
    rotation: float = 0.0,
    stretch: float = 1.0,
) -> Float[Tensor, "3 3"]:
    """Matrix that scales, crops, flips, then rotates about the centre of the result.

    Args:
        size: (height, width) of the result, pixels.
        scale: resized pixels per original pixel.
        crop: (top, left) of the crop window in the resized image, pixels.
        flip: flip horizontally.
        rotation: radians, counter-clockwise as seen in the image (y points down).
        stretch: additional scale factor along y.

    Returns:
        Homogeneous pixels of the result from homogeneous pixels of the original, float64.
    """
    height, width = size
    top, left = crop
    matrix = _matrix([[scale, 0, -left], [0, scale * stretch, -top], [0, 0, 1]])
    if flip:
        matrix = _matrix([[-1, 0, width], [0, 1, 0], [0, 0, 1]]) @ matrix
    if rotation:
        cos, sin = math.cos(rotation), math.sin(rotation)
        to_centre = _matrix([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
        turn = _matrix([[cos, sin, width / 2], [-sin, cos, height / 2], [0, 0, 1]])
        matrix = turn @ to_centre @ matrix
    return matrix


def _matrix(rows: list[list[float]]) -> Float[Tensor, "3 3"]:
    return torch.tensor(rows, dtype=torch.float64)

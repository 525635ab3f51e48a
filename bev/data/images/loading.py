"""Loading of images: one reduced JPEG decode and one affine warp to the network's image.

The reduced decode averages blocks of pixels up to rounding and leaves less than twice the network's
resolution (of the rows, if rows are stretched), which the bilinear warp then samples. The result is
close to a full decode with an antialiased resize, in a third of the time.

OpenCV places pixel centres at integers, this project at integer + 0.5; ``warp`` is the only place
that converts between the two conventions.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.data.frame import CameraFrame
from bev.errors import DataError

_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

_CORNER_FROM_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_CENTRE_FROM_CORNER = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])

Decode = Callable[[Path, int], np.ndarray]
"""Function with the signature of :func:`decode`: from a file and a reduction to the image."""


def load_image(
    camera: CameraFrame,
    image_from_original: Float[Tensor, "3 3"],
    size: tuple[int, int],
    decoded: Decode | None = None,
) -> UInt8[Tensor, "3 H W"]:
    """Load a camera's image and warp it to the network's image, RGB.

    The JPEG is decoded at 1/2, 1/4 or 1/8 if the warp shrinks by at least as much: the decoder then
    averages pixels that a bilinear warp of the full image would skip.

    Args:
        camera: image file and its size.
        image_from_original: augmentation matrix of the image.
        size: (H, W) of the result, pixels.
        decoded: function that decodes the file: :func:`decode` (default) or that of a cache.

    Raises:
        DataError: if the file is missing, truncated or not an image, or has another size than
            ``camera.size``.
    """
    reduction = reduction_for(image_from_original, camera.size)
    image = (decoded or decode)(camera.path, reduction)
    expected = (camera.size[0] // reduction, camera.size[1] // reduction)
    if image.shape[:2] != expected:
        height, width = image.shape[0] * reduction, image.shape[1] * reduction
        raise DataError(
            f"Image {camera.path} is {width}x{height}, but its size in the tables is"
            f" {camera.size[1]}x{camera.size[0]}, so its calibration cannot be right; download it"
            " again, or correct the tables."
        )
    # A reduced pixel covers reduction x reduction pixels, so continuous coordinates are divided.
    original_from_reduced = torch.tensor([reduction, reduction, 1.0], dtype=torch.float64)
    return warp(image, image_from_original.double() * original_from_reduced, size)


def reduction_for(image_from_original: Float[Tensor, "3 3"], size: tuple[int, int]) -> int:
    """The largest reduction at which the decoded image has at least the resolution of the result.

    The condition holds in every direction, also for warps that stretch. The reduction must divide
    the image's ``size`` (height, width); otherwise the last row and column would cover only part of
    a reduced pixel.
    """
    scale = np.linalg.norm(image_from_original[:2, :2].numpy(), 2)  # the larger singular value
    fits = [r for r in _REDUCED if scale * r <= 1 + 1e-12 and size[0] % r == 0 and size[1] % r == 0]
    return max(fits, default=1)


def decode(path: Path, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image file to BGR at 1/``reduction`` of its size (1, 2, 4 or 8).

    Raises:
        DataError: if the file is missing, truncated or not an image.
    """
    image = cv2.imdecode(read(path), _REDUCED[reduction])
    if image is None:
        raise DataError(f"Image {path} is not an image that OpenCV can decode; download it again.")
    return image


def read(path: Path) -> UInt8[np.ndarray, " bytes"]:
    """Read the bytes of an image file.

    Raises:
        DataError: if the file is missing or truncated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"Image {path} cannot be read ({error.strerror}); restore it.") from error
    if not data or is_cut_off(data[:2], data[-1024:]):
        raise DataError(f"Image {path} is truncated ({len(data)} bytes); download it again.")
    return np.frombuffer(data, np.uint8)


def is_cut_off(start: bytes, end: bytes) -> bool:
    """Return whether a file, by its first and last bytes, is a JPEG without an end marker.

    The decoder silently fills the missing part of a truncated JPEG with grey.
    """
    return start[:2] == b"\xff\xd8" and b"\xff\xd9" not in end


def warp(
    image: UInt8[np.ndarray, "h w 3"],
    image_from_original: Float[Tensor, "3 3"],
    size: tuple[int, int],
) -> UInt8[Tensor, "3 H W"]:
    """Affine warp, bilinear, from BGR to RGB; what lies outside the source is black.

    Args:
        image_from_original: in continuous coordinates (pixel centres at integer + 0.5).
        size: (H, W) of the result.
    """
    matrix = _CENTRE_FROM_CORNER @ image_from_original.numpy() @ _CORNER_FROM_CENTRE
    warped = cv2.warpAffine(image, matrix[:2], size[::-1], flags=cv2.INTER_LINEAR)
    planes = np.empty((3, *size), np.uint8)
    cv2.split(warped, list(planes[::-1]))
    return torch.from_numpy(planes)

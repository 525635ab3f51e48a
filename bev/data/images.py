"""From an image file to the network's pixels: one reduced decode and one affine warp.

OpenCV counts pixel centres at integers, the project at integer + 0.5: ``warp`` is the one place
that knows both.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.data.readings import CameraFrame
from bev.errors import DataError

_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def load_image(
    camera: CameraFrame, image_from_original: Float[Tensor, "3 3"], size: tuple[int, int]
) -> UInt8[Tensor, "3 H W"]:
    """Decode a camera's file and warp it to ``size`` (height, width), RGB.

    The JPEG is decoded at 1/2, 1/4 or 1/8 where the warp shrinks by at least as much: the decoder
    then averages what a full decode and a bilinear warp would skip.

    Raises:
        DataError: where the file is missing, truncated, not an image or not of the tables' size.
    """
    scale = image_from_original[:2, :2].det().abs().sqrt().item()
    reduction = max(r for r in _REDUCED if r == 1 or (scale * r <= 1 and _divides(r, camera.size)))
    image = decode(camera.path, reduction)
    expected = (camera.size[0] // reduction, camera.size[1] // reduction)
    if image.shape[:2] != expected:
        height, width = image.shape[0] * reduction, image.shape[1] * reduction
        raise DataError(
            f"Image {camera.path} is {width}x{height}, but the tables say"
            f" {camera.size[1]}x{camera.size[0]}; its calibration cannot be right."
        )
    to_reduced = torch.tensor([reduction, reduction, 1.0], dtype=torch.float64).diag()
    warped = warp(image, image_from_original.double() @ to_reduced, size)
    return torch.from_numpy(np.ascontiguousarray(warped[..., ::-1].transpose(2, 0, 1)))


def decode(path: Path, reduction: int = 1) -> np.ndarray:
    """The image as (h, w, 3) BGR, decoded at 1/``reduction`` (1, 2, 4 or 8).

    Raises:
        DataError: where the file is missing, truncated or not an image.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"Image {path} cannot be read ({error.strerror}); restore it.") from error
    # The decoder fills what a truncated JPEG lacks with grey and says nothing: look for its end.
    is_jpeg = data[:2] == b"\xff\xd8"
    if not data or (is_jpeg and b"\xff\xd9" not in data[-1024:]):
        raise DataError(f"Image {path} is truncated ({len(data)} bytes); fetch it again.")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[reduction])
    if image is None:
        raise DataError(f"Image {path} is not an image that OpenCV can decode; fetch it again.")
    return image


def warp(
    image: UInt8[np.ndarray, "h w 3"],
    image_from_original: Float[Tensor, "3 3"],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "H W 3"]:
    """Affine warp, bilinear; what lies outside the source is black.

    Args:
        image_from_original: in continuous coordinates (pixel centres at integer + 0.5).
        size: (H, W) of the result.
    """
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ image_from_original.numpy() @ half
    return cv2.warpAffine(image, matrix[:2], size[::-1], flags=cv2.INTER_LINEAR)


def _divides(reduction: int, size: tuple[int, int]) -> bool:
    return size[0] % reduction == 0 and size[1] % reduction == 0

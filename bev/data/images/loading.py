"""Loading of images: one reduced JPEG decode and one affine warp to the network's image.

The reduced decode averages blocks of pixels up to rounding and leaves less than twice the network's
resolution (of the rows, if rows are stretched), which the bilinear warp then samples. The result is
close to a full decode with an antialiased resize, in a third of the time. Files of other formats
are decoded whole and averaged likewise.

A file with distortion is decoded likewise, and sampled at the positions that
``bev.data.images.undistortion`` computes, also once.

OpenCV places pixel centres at integers, this project at integer + 0.5; ``warp`` and ``resample``
are the only places that convert between the two conventions.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from bev.data.frame import CameraFrame
from bev.data.images.header import image_size, is_cut_off, is_jpeg, is_tiff, size_by_pillow
from bev.data.images.undistortion import file_positions, file_scale
from bev.data.storage.remote import present
from bev.errors import DataError
from bev.files import regular_length

_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# Calibrations refer to pixels as they are stored, so an EXIF orientation is ignored. Channels keep
# their depth, so that those of more than 8 bits are found.
_AS_STORED = cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_ANYDEPTH
_MOST_BYTES, _MOST_PIXELS = 2**27, 2**26  # of a file, and of an image
_START, _HEADER = 2**16, 2**20  # bytes in which a header usually is, and always (not of TIFF)

_CORNER_FROM_CENTRE = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
_CENTRE_FROM_CORNER = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])

Decode = Callable[[Path, int, tuple[int, int]], np.ndarray]
"""Function with the signature of :func:`decode`: from a file, a reduction and a size to the image.
"""


def load_image(
    camera: CameraFrame,
    image_from_original: Float[Tensor, "3 3"],
    size: tuple[int, int],
    decoded: Decode | None = None,
) -> UInt8[Tensor, "3 H W"]:
    """Load a camera's image and warp it to the network's image, RGB, without distortion.

    The JPEG is decoded at 1/2, 1/4 or 1/8 if the warp shrinks by at least as much: the decoder then
    averages pixels that a bilinear warp of the full image would skip.

    Args:
        camera: image file and its calibration.
        image_from_original: augmentation matrix of the image.
        size: (H, W) of the result, pixels.
        decoded: function that decodes the file: :func:`decode` (default) or that of a cache.

    Raises:
        DataError: if the file cannot be used, see :func:`decode`; names the camera.
    """
    stored = camera.file_size
    reduction = reduction_for(file_scale(camera, image_from_original), stored)
    with naming(camera.name):
        image = (decoded or decode)(camera.path, reduction, stored)
        expected = (stored[0] // reduction, stored[1] // reduction)
        if image.shape[:2] != expected:
            found = (image.shape[0] * reduction, image.shape[1] * reduction)
            check_size(camera.path, found, stored)
    if camera.stored is not None:
        return resample(image, file_positions(camera, image_from_original, size) / reduction)
    # A reduced pixel covers reduction x reduction pixels, so continuous coordinates are divided.
    original_from_reduced = torch.tensor([reduction, reduction, 1.0], dtype=torch.float64)
    return warp(image, image_from_original.double() * original_from_reduced, size)


@contextmanager
def naming(camera: str) -> Iterator[None]:
    """Add the name of a camera to errors about its image."""
    try:
        yield
    except DataError as error:
        raise DataError(f"Camera {camera}: {error}") from error


def reduction_for(image_from_original: Float[Tensor, "3 3"], size: tuple[int, int]) -> int:
    """The largest reduction at which the decoded image has at least the resolution of the result.

    The condition holds in every direction, also for warps that stretch. The reduction must divide
    the image's ``size`` (height, width); otherwise the last row and column would cover only part of
    a reduced pixel.
    """
    scale = np.linalg.norm(image_from_original[:2, :2].numpy(), 2)  # the larger singular value
    fits = [r for r in _REDUCED if scale * r <= 1 + 1e-12 and size[0] % r == 0 and size[1] % r == 0]
    return max(fits, default=1)


def decode(
    path: Path,
    reduction: int = 1,
    size: tuple[int, int] | None = None,
    data: bytes | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image file to BGR at 1/``reduction`` of its size (1, 2, 4 or 8), as it is stored.

    Args:
        path: image file.
        reduction: factor by which height and width are divided.
        size: (height, width) of the calibration, pixels; an image of another size is not decoded.
        data: bytes of the file, if they have been read.

    Raises:
        DataError: if the file is missing, truncated, too large, not a regular file or not an image,
            has another size than ``size``, or more than 8 bits per channel.
    """
    data = read(path) if data is None else data
    if not data or is_cut_off(data):
        raise DataError(f"Image {path} is truncated ({len(data)} bytes); download it again.")
    found = stated_size(path, data)
    check_size(path, found, size)
    if found[0] * found[1] > _MOST_PIXELS:
        raise DataError(
            f"Image {path} is {found[1]}x{found[0]}, more than {_MOST_PIXELS} pixels; download it"
            " again, or scale it and its calibration."
        )
    by_decoder = reduction if is_jpeg(data) else 1  # of other formats it would skip pixels
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[by_decoder] | _AS_STORED)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"Image {path} is not an image that OpenCV can decode; download it again.")
    if image.dtype != np.uint8:
        raise DataError(
            f"Image {path} has channels of {image.dtype}, and their range is unknown; convert the"
            " images to 8 bits per channel."
        )
    return image if by_decoder == reduction else reduced(image, reduction)


def reduced(image: UInt8[np.ndarray, "H W 3"], reduction: int) -> UInt8[np.ndarray, "h w 3"]:
    """Average blocks of ``reduction`` x ``reduction`` pixels."""
    height, width = (length // reduction for length in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def read(path: Path) -> bytes:
    """Read the bytes of an image file.

    Raises:
        DataError: if the file is missing, too large or not a regular file.
    """
    try:
        length = regular_length(present(path))
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DataError(f"Image {path} cannot be read ({error.strerror}); restore it.") from error
    if len(data) > _MOST_BYTES:
        raise DataError(
            f"Image {path} has {max(length, len(data))} bytes, more than {_MOST_BYTES}; download it"
            " again, or convert it to JPEG."
        )
    return data


def stated_size(path: Path, data: bytes | None = None) -> tuple[int, int]:
    """(height, width) that the header of an image file states.

    Args:
        path: image file.
        data: bytes of the file; by default its beginning is read.

    Raises:
        DataError: if the file cannot be read, or is not an image.
    """
    try:
        found = image_size(data) if data is not None else _size_in(path)
    except OSError as error:
        raise DataError(f"Image {path} cannot be read ({error.strerror}); restore it.") from error
    if found is None:
        raise DataError(
            f"Image {path} is not an image whose header can be read; download it again, or convert"
            " it to JPEG or PNG with upright pixels."
        )
    return found


def _size_in(path: Path) -> tuple[int, int] | None:
    """(height, width) in the header of a file."""
    with path.open("rb") as file:
        data = file.read(_START)
        if is_tiff(data):  # its header may be behind its pixels
            return size_by_pillow(file)
        found = image_size(data)
        return found if found else image_size(data + file.read(_HEADER - _START))  # long metadata


def check_size(path: Path, found: tuple[int, int], expected: tuple[int, int] | None) -> None:
    """Check that an image has the (height, width) of its calibration, if that is known.

    Raises:
        DataError: names both sizes.
    """
    if expected is not None and tuple(found) != tuple(expected):
        raise DataError(
            f"Image {path} is {found[1]}x{found[0]}, but its calibration is for"
            f" {expected[1]}x{expected[0]}; replace the image, or correct the calibration."
        )


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
    return _planes(np.asarray(warped))


def resample(
    image: UInt8[np.ndarray, "h w 3"], positions: Float32[np.ndarray, "H W 2"]
) -> UInt8[Tensor, "3 H W"]:
    """Sample an image at positions, bilinear, from BGR to RGB; what lies outside of it is black.

    Args:
        image: image to sample.
        positions: (x, y) of each pixel of the result, continuous pixels of ``image``.
    """
    x, y = (np.ascontiguousarray(part) for part in np.moveaxis(positions - np.float32(0.5), -1, 0))
    return _planes(np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR)))


def _planes(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[Tensor, "3 H W"]:
    """BGR pixels as RGB planes."""
    planes = np.empty((3, *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes[::-1]))
    return torch.from_numpy(planes)

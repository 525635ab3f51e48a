"""Images in memory, in place of image files."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from bev.data.images.loading import Decode, decode, reduced
from bev.errors import DataError, shown


def as_bgr(
    image: Any, what: str, channels: str = "rgb", white: float | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Convert an image in memory to 8 bits per channel, BGR.

    Args:
        image: (H, W, 3) array, tensor or PIL image: uint8; floating-point numbers from 0 to 1; or
            any numbers from 0 to ``white``.
        what: name of the image, for messages.
        channels: order of the channels of ``image``, "rgb" or "bgr".
        white: number of full brightness; by default 255 for uint8 and 1 for floating-point numbers.

    Raises:
        DataError: if the image has another shape, or numbers whose range is unknown or exceeded;
            or if there is no such order of channels.
    """
    if channels not in ("rgb", "bgr"):
        raise DataError(f"{what} has channels={shown(channels)}; pass 'rgb' or 'bgr'.")
    if white is not None and not 0 < white < math.inf:
        raise DataError(f"{what} has white={white}; pass the number of full brightness, above 0.")
    if isinstance(image, bytes | bytearray) or (
        hasattr(image, "read") and not hasattr(image, "mode")
    ):
        raise DataError(f"{what} is the bytes of a file; decode it, or pass the file's path.")
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu()
        image = image.float() if image.dtype == torch.bfloat16 else image  # NumPy has no bfloat16
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise DataError(
            f"{what} has the shape {array.shape}; pass (height, width, 3), {channels.upper()}"
            " channels last."
        )
    if white is None and array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating):
            raise DataError(
                f"{what} has numbers of {array.dtype}, whose range is unknown; pass white=…, the"
                " number of full brightness, such as 65535."
            )
        white = 1.0
    if white is not None and not (array.dtype == np.uint8 and white == 255):
        scaled = array.astype(np.float32) * np.float32(255 / white)
        low, high = float(scaled.min()), float(scaled.max())
        if not (low >= -0.01 and high <= 255.01):
            raise DataError(
                f"{what} has numbers from {array.min():g} to {array.max():g}, not from 0 to"
                f" {white:g}; pass white=…, the number of full brightness."
            )
        array = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(array[..., ::-1] if channels == "rgb" else array)


def decoder(images: Mapping[Path, UInt8[np.ndarray, "_ _ 3"] | bytes]) -> Decode:
    """Function in place of :func:`bev.data.images.loading.decode` that knows images in memory.

    Args:
        images: BGR images by the paths that stand for them, or the bytes of files by their paths;
            other files are read.
    """

    def decoded(path: Path, reduction: int, size: tuple[int, int]) -> np.ndarray:
        image = images.get(path)
        if image is None or isinstance(image, bytes):
            return decode(path, reduction, size, image)
        if reduction == 1 or image.shape[:2] != tuple(size):  # load_image compares the sizes
            return image
        return reduced(image, reduction)

    return decoded

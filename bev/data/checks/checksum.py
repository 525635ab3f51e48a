"""Checksum of a split: whether two copies of a data set hold the same frames."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from bev.data.frame import Frame
from bev.errors import DataError
from bev.files import regular_length

_STEPS = 1e4  # steps of a metre, a radian or a pixel to which numbers are rounded


def frames_checksum(frames: Sequence[Frame]) -> str:
    """SHA-256 of key frames, in hexadecimal digits.

    It covers, frame by frame and in their order, the token, for each camera its name, the bytes of
    its image file, intrinsics and pose, and the ground-truth boxes with class and velocity. Numbers
    are rounded to a ten-thousandth of a metre, a radian or a pixel. Folders and file names do not
    count.

    Raises:
        DataError: if an image file cannot be read.
    """
    digest = hashlib.sha256()
    add = digest.update
    for frame in frames:
        _add_text(add, frame.token)
        for camera in frame.cameras:
            _add_text(add, camera.name)
            content = _read(camera.path)
            _add_text(add, str(len(content)))
            add(content)
            _add(add, camera.intrinsics, camera.ego_from_camera)
        boxes = frame.boxes
        _add(add, boxes.center, boxes.size, boxes.yaw, boxes.velocity, boxes.label)
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    try:
        regular_length(path)
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"Image {path} cannot be read ({error.strerror}), so its split has no checksum;"
            " restore it."
        ) from error


def _add(add: Callable[[bytes], object], *tensors: Tensor) -> None:
    for tensor in tensors:
        steps = (tensor.double() * _STEPS).nan_to_num(nan=2.0**53).round().long()
        _add_text(add, str(tuple(tensor.shape)))
        add(steps.contiguous().numpy().astype("<i8").tobytes())


def _add_text(add: Callable[[bytes], object], text: str) -> None:
    add(text.encode() + b"\0")

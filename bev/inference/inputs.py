"""Images and calibrations of a caller as frames."""

import math
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from bev.data.frame import CameraFrame, Frame
from bev.data.images.arrays import as_bgr
from bev.data.images.loading import check_size, naming, read, stated_size
from bev.data.rig import RigCamera, load_rig
from bev.data.rig.values import check_intrinsics, check_rigid
from bev.errors import ConfigError, DataError, shown
from bev.geometry import Pinhole

Memory = Mapping[Path, UInt8[np.ndarray, "_ _ 3"] | bytes]
"""BGR images in memory, or the bytes of image files, by their paths in frames."""


@dataclass(frozen=True)
class Reading:
    """How numbers of images in memory are read.

    Attributes:
        channels: order of the channels, "rgb" or "bgr".
        white: number of full brightness; None for the type's usual one.
    """

    channels: str = "rgb"
    white: float | None = None


def is_image(value: Any) -> bool:
    """Return whether a value is one image: a path, or an image in memory."""
    if isinstance(value, str | os.PathLike | bytes | bytearray) or hasattr(value, "read"):
        return True
    if not hasattr(value, "shape"):
        return not isinstance(value, Iterable)  # such as a PIL image
    paths = isinstance(value, np.ndarray) and value.dtype.kind in "OSU"
    return len(value.shape) <= 3 and not paths


def listed(images: Any) -> Any:
    """Images as a sequence or a mapping; such as a dictionary's values.

    Raises:
        DataError: if they have no order.
    """
    if isinstance(images, Set):
        raise DataError(
            f"images is a {type(images).__name__}, which has no order; pass a list in the order of"
            " the cameras, or a dictionary by their names."
        )
    plain = hasattr(images, "shape") or isinstance(images, Sequence | Mapping)
    return images if plain or not isinstance(images, Iterable) else list(images)


def number_of(value: Any, what: str, low: float, high: float) -> float:
    """A number, or an array of one, as a float.

    Raises:
        DataError: if it is none, or not between ``low`` and ``high``.
    """
    try:
        number = math.nan if isinstance(value, str | bytes) else float(value)
    except (OverflowError, TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise DataError(f"{what} is {shown(value)}; pass a number from {low:g} to {high:g}.")
    return number


def is_frame(images: Any) -> bool:
    """Return whether images are those of one frame, not of several.

    Raises:
        DataError: if they are neither.
    """
    if isinstance(images, Mapping):
        return True
    if is_image(images):
        raise DataError(
            "images is a single image; pass one for each camera: a list in the order of the"
            " cameras, or a dictionary by their names."
        )
    if not len(images):
        raise DataError("images is empty; pass one image for each camera.")
    return is_image(images[0])


def rigs_of(cameras: Any, count: int) -> list[Any]:
    """Calibration of each of several frames: the same for all, or one for each.

    Raises:
        ConfigError: if there are calibrations of another number of frames.
        DataError: if ``cameras`` is no calibration, or its file cannot be read.
    """
    each = cameras_of(cameras)
    one = isinstance(cameras, str | os.PathLike | Mapping) or hasattr(cameras, "cameras")
    if one or not (each and _is_rig(each[0])):
        return [each] * count
    if len(each) != count:
        raise ConfigError(
            f"There are {count} frames and {len(each)} rigs; pass one rig, or one for each frame."
        )
    return each


def cameras_of(rig: Any) -> list[Any]:
    """Cameras of a calibration, see :class:`bev.inference.BoxDetector`.

    Raises:
        DataError: if it is none, or its file cannot be read.
    """
    rig = load_rig(Path(rig)) if isinstance(rig, str | os.PathLike) else rig
    return _listed(getattr(rig, "cameras", rig))


def _is_rig(value: Any) -> bool:
    """Return whether a value is the calibration of a frame: a rig, a rig file, or cameras."""
    if isinstance(value, str | os.PathLike) or hasattr(value, "cameras"):
        return True
    return isinstance(value, Sequence) and not hasattr(value, "name")


def _listed(cameras: Any) -> list[Any]:
    if not isinstance(cameras, Iterable):
        raise DataError(
            f"cameras is {shown(cameras)}; pass a Rig, the path of a rig file, or a calibration"
            " for each image."
        )
    return list(cameras)


def read_frame(images: Any, cameras: Any, token: str, reading: Reading) -> tuple[Frame, Memory]:
    """Make the frame of one moment.

    Args:
        images: image of each camera, see :class:`bev.inference.BoxDetector`.
        cameras: their calibrations.
        token: name of the frame.
        reading: how images in memory are read.

    Returns:
        The frame, and its images in memory.

    Raises:
        DataError: names the camera, and what is missing or contradicts its calibration.
    """
    own = cameras_of(cameras)
    if not own:
        raise DataError("cameras is empty; pass a Rig, or a calibration for each image.")
    for camera in own:
        if not hasattr(camera, "name"):
            raise DataError(
                f"cameras of frame {token} contain a {type(camera).__name__}, which has no name;"
                " pass a Rig, or for each image a calibration with name, intrinsics and"
                " ego_from_camera."
            )
    names = [str(camera.name) for camera in own]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"Two cameras have the name {name!r}; make the names unique.")
    found: list[CameraFrame] = []
    memory: dict[Path, np.ndarray | bytes] = {}
    for camera, image in zip(own, _in_order(listed(images), names, token), strict=True):
        if isinstance(image, str | os.PathLike):
            path, size = Path(image), _size(camera)
            if size is None:
                with naming(str(camera.name)):
                    memory[path] = data = read(path)
                    size = stated_size(path, data)
        else:
            path = Path(f"<{token}, {camera.name}>")
            what = f"The image of camera {camera.name} in frame {token}"
            memory[path] = array = as_bgr(image, what, reading.channels, reading.white)
            size = (array.shape[0], array.shape[1])
        found.append(_camera_frame(camera, path, size))
    return Frame(token, tuple(found)), memory


def _in_order(images: Any, names: Sequence[str], token: str) -> list[Any]:
    """The images in the order of the cameras."""
    if isinstance(images, Mapping):
        for name in names:
            if name not in images:
                raise DataError(
                    f"Frame {token} has no image of camera {name!r}; it has those of"
                    f" {', '.join(map(str, images)) or 'none'}."
                )
        for name in images:
            if name not in names:
                raise DataError(
                    f"Frame {token} has an image of {shown(name)}, of which there is no"
                    f" calibration; the cameras are {', '.join(names)}."
                )
        return [images[name] for name in names]
    if len(images) != len(names):
        raise DataError(
            f"Frame {token} has {len(images)} images for {len(names)} cameras; pass one for each,"
            f" in the order {', '.join(names)}, or a dictionary by their names."
        )
    return list(images)


def _size(camera: Any) -> tuple[int, int] | None:
    """(height, width) of the image files that a calibration is for, if it has one."""
    size = getattr(camera, "file_size", None) or getattr(camera, "size", None)
    if size is None:
        return None
    try:
        height, width = (int(length) for length in tuple(size)[:2])  # also an array's shape
    except (OverflowError, TypeError, ValueError) as error:
        raise DataError(
            f"Camera {camera.name} has the size {shown(size)}; give (height, width), in pixels."
        ) from error
    return height, width


def _camera_frame(camera: Any, path: Path, size: tuple[int, int]) -> CameraFrame:
    with naming(str(camera.name)):
        check_size(path, size, _size(camera))
    if isinstance(camera, RigCamera):
        return camera.frame(path, size)
    intrinsics, pose = _matrix(camera, "intrinsics", 3), _matrix(camera, "ego_from_camera", 4)
    check_intrinsics(intrinsics, f"Camera {camera.name}: intrinsics")
    check_rigid(pose, f"Camera {camera.name}: ego_from_camera")
    if isinstance(camera, CameraFrame):
        if camera.stored is not None:
            check_intrinsics(camera.stored.intrinsics, f"Camera {camera.name}: stored intrinsics")
        return replace(camera, path=path, intrinsics=intrinsics, ego_from_camera=pose)
    lens = getattr(camera, "lens", None) or Pinhole()
    return CameraFrame(str(camera.name), path, size, intrinsics, pose, lens)


def matrix_of(value: Any, side: int) -> Float[Tensor, "n n"] | None:
    """Copy a square matrix of finite numbers as float64 on the CPU; None if it is none."""
    value = value.detach().cpu() if isinstance(value, Tensor) else value
    try:
        matrix = torch.from_numpy(np.array(value, dtype=np.float64))
    except (TypeError, ValueError):
        return None
    return matrix if matrix.shape == (side, side) and bool(matrix.isfinite().all()) else None


def _matrix(camera: Any, name: str, side: int) -> Float[Tensor, "n n"]:
    matrix = matrix_of(getattr(camera, name, None), side)
    if matrix is None:
        raise DataError(
            f"Camera {camera.name} has no {name} of {side}x{side} finite numbers; correct the"
            " calibration."
        )
    return matrix

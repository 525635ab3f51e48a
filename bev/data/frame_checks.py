"""Checks of the frames that a source gives: the first fault, in a sentence that names the frame."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bev.data.frame import CameraFrame, Frame
from bev.data.labels import LabelSpace
from bev.errors import DataError
from bev.geometry import Boxes3D, Lens

_TOLERANCE = 1e-3  # of a rotation's products; rounding to three decimals stays below
_SHAPES = {"center": (3,), "size": (3,), "yaw": (), "velocity": (2,), "score": ()}
_NUMBERS = ("label", "attribute", "visibility")


def check_frame(frame: Frame, labels: LabelSpace) -> None:
    """Refuse a frame that is not as ``bev.data.frame`` states.

    Files are not looked for.

    Args:
        frame: with token, scene, time and cameras of the right types, see
            ``bev.data.listed.ListedFrames``.
        labels: what the numbers of its boxes refer to.

    Raises:
        DataError: names the frame, the part and the value.
    """
    where = f"Frame {frame.token!r}"
    poses = {"global_from_ego": frame.global_from_ego, "ego_from_lidar": frame.ego_from_lidar}
    for camera in frame.cameras:
        _check_camera(camera, where)
        poses[f"ego_from_camera of {camera.name}"] = camera.ego_from_camera
    _check_rigid(poses, where)
    _check_boxes(frame.boxes, labels, where)
    if not isinstance(frame.lidar_path, Path | None):
        raise DataError(
            f"{where}: lidar_path is {frame.lidar_path!r}; give a pathlib.Path, or None."
        )
    points, count = frame.num_points, len(frame.boxes)
    if points is not None and (not isinstance(points, Tensor) or points.shape != (count,)):
        raise DataError(
            f"{where}: num_points is {_described(points)}; it has {count} boxes: give a tensor"
            " of one number each, or None."
        )


def _check_camera(camera: CameraFrame, where: str) -> None:
    size = camera.size
    if not isinstance(camera.path, Path):
        raise DataError(f"{where}: path of {camera.name} is {camera.path!r}; give a pathlib.Path.")
    if not isinstance(camera.lens, Lens):
        raise DataError(
            f"{where}: lens of {camera.name} is {_described(camera.lens)}; give one of"
            " bev.geometry.Lens."
        )
    if (
        not isinstance(size, tuple | list)
        or len(size) != 2
        or not all(isinstance(n, int | np.integer) and n > 0 for n in size)
    ):
        raise DataError(
            f"{where}: size of {camera.name} is {size!r}; give (height, width) in pixels."
        )
    _check_matrix(camera.intrinsics, (3, 3), f"{where}: intrinsics of {camera.name}")
    rows = camera.intrinsics.tolist()
    if not (rows[0][0] > 0 and rows[1][1] > 0 and rows[2] == [0.0, 0.0, 1.0]):
        raise DataError(
            f"{where}: intrinsics of {camera.name} are {rows}; give focal lengths above 0 on the"
            " diagonal and 0, 0, 1 in the last row."
        )


def _check_rigid(poses: dict[str, Tensor], where: str) -> None:
    for name, pose in poses.items():
        _check_matrix(pose, (4, 4), f"{where}: {name}")
    matrices = np.stack([pose.numpy() for pose in poses.values()])
    rotation = matrices[:, :3, :3]
    error = np.abs(rotation @ rotation.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
    good = (error < _TOLERANCE) & (np.linalg.det(rotation) > 0)
    good &= (matrices[:, 3] == (0.0, 0.0, 0.0, 1.0)).all(axis=1)
    if not good.all():
        name = list(poses)[int(good.argmin())]
        raise DataError(
            f"{where}: {name} is no rigid transform: its first 3x3 must be a rotation (the products"
            f" of its rows are off by {error[list(poses).index(name)]:.2g}) and its last row"
            " 0, 0, 0, 1."
        )


def _check_matrix(value: Tensor, shape: tuple[int, ...], what: str) -> None:
    if not isinstance(value, Tensor) or value.shape != shape or value.dtype != torch.float64:
        wanted = "x".join(map(str, shape))
        raise DataError(f"{what} is {_described(value)}; give a {wanted} tensor of torch.float64.")
    if not np.isfinite(value.numpy()).all():
        raise DataError(f"{what} is {value.tolist()}, which is not finite.")


def _check_boxes(boxes: Boxes3D, labels: LabelSpace, where: str) -> None:
    if not isinstance(boxes, Boxes3D):
        raise DataError(f"{where}: boxes are {_described(boxes)}, not Boxes3D.")
    count = len(boxes.center)
    for name, shape in {**_SHAPES, **dict.fromkeys(_NUMBERS, ())}.items():
        value, wanted = getattr(boxes, name), torch.int64 if name in _NUMBERS else torch.float32
        fits = isinstance(value, Tensor) and value.shape == (count, *shape)
        if not fits or value.dtype != wanted:
            raise DataError(
                f"{where}: boxes.{name} is {_described(value)}; give a tensor of shape"
                f" {(count, *shape)} and {wanted}, as it has {count} centers."
            )
    for name in ("center", "size", "yaw"):
        values = getattr(boxes, name).numpy().reshape(count, 1 if name == "yaw" else 3)
        good = np.isfinite(values) & (values > 0 if name == "size" else True)
        if not good.all():
            row = int((~good.all(axis=1)).argmax())
            wanted = "above 0" if name == "size" else "finite"
            raise DataError(
                f"{where}: boxes.{name} of box {row} is {values[row].tolist()}; give numbers that"
                f" are {wanted}, or leave the box out."
            )
    limits = {"label": (0, labels.names), "attribute": (-1, labels.attributes)}
    for name, (least, known) in limits.items():
        numbers = getattr(boxes, name).numpy()
        wrong = numbers[(numbers < least) | (numbers >= len(known))]
        if len(wrong):
            raise DataError(
                f"{where}: boxes.{name} has {int(wrong[0])}; the source's label space numbers"
                f" {least} to {len(known) - 1} ({', '.join(known) or 'none'})."
            )


def _described(value: object) -> str:
    """Type and shape, for messages."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and {value.dtype}"
    return f"a {type(value).__name__}"

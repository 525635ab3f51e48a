"""Validation of the frames of a source; errors report the frame, the field and the value."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bev.data.frame import CameraFrame, Frame, StoredImage
from bev.data.labels import LabelSpace
from bev.data.settings import DataConfig
from bev.data.storage.remote import local_folder
from bev.errors import DataError
from bev.geometry import Boxes3D, Lens, rigid_fault
from bev.paths import is_below

_SHAPES = {"center": (3,), "size": (3,), "yaw": (), "velocity": (2,), "score": ()}
_NUMBERS = ("label", "attribute", "visibility")


def check_frame(frame: Frame, data: DataConfig) -> None:
    """Check a frame against ``bev.data.frame`` and the settings; files are not read.

    Args:
        frame: frame of a source.
        data: data settings; their source has the label space of the boxes.

    Raises:
        DataError: names the frame, the field and the value.
    """
    _check_kinds(frame, data)
    where = f"Frame {frame.token!r}"
    poses = {"global_from_ego": frame.global_from_ego, "ego_from_lidar": frame.ego_from_lidar}
    for camera in frame.cameras:
        _check_camera(camera, where)
        poses[f"ego_from_camera of {camera.name}"] = camera.ego_from_camera
    _check_rigid(poses, where)
    _check_boxes(frame.boxes, data.source.labels, where)
    if not isinstance(frame.lidar_path, Path | None):
        raise DataError(
            f"{where}: lidar_path is {frame.lidar_path!r}; it must be a pathlib.Path or None."
        )
    count = len(frame.boxes)
    for name in ("num_points", "instances"):
        values = getattr(frame, name)
        if values is not None and (not isinstance(values, Tensor) or values.shape != (count,)):
            raise DataError(
                f"{where}: {name} is {_described(values)}, but it has {count} boxes; it must be a"
                " tensor with one number per box, or None."
            )
    _check_places(frame, data)


def order_faults(frames: Sequence[tuple[str, str, int]]) -> dict[int, str]:
    """Frames whose token was used before, or whose time does not follow that of its scene.

    Args:
        frames: token, scene and time of each frame, in microseconds.

    Returns:
        A sentence by the frame's place; tokens come first.
    """
    tokens: set[str] = set()
    last: dict[str, tuple[str, int]] = {}
    twice, late = {}, {}
    for place, (token, scene, time) in enumerate(frames):
        if token in tokens:
            twice[place] = f"Frame {token!r} occurs twice; every frame needs a unique token."
            continue
        tokens.add(token)
        before, latest = last.get(scene, ("", time - 1))
        if time <= latest:
            late[place] = (
                f"Frame {token!r} at {time} us follows {before!r} at {latest} us; times must ascend"
                f" within scene {scene!r}."
            )
        else:
            last[scene] = token, time
    return {**twice, **late}


def _check_kinds(frame: Frame, data: DataConfig) -> None:
    """Check the types of a frame, and that it has the cameras of the settings."""
    if not isinstance(frame, Frame):
        source = f"{type(data.source).__name__}.frames"
        raise DataError(f"{source} gives a {type(frame).__name__} among its frames, no Frame.")
    kinds = {"token": str, "scene": str, "timestamp": int | np.integer, "cameras": tuple}
    for name, kind in kinds.items():
        value = getattr(frame, name)
        if not isinstance(value, kind) or value == "" and name == "token":
            wanted = getattr(kind, "__name__", "int")
            raise DataError(f"Frame {frame.token!r}: {name} is {value!r}; it must be {wanted}.")
    names = []
    for camera in frame.cameras:
        if not isinstance(camera, CameraFrame):
            kind = type(camera).__name__
            raise DataError(f"Frame {frame.token!r}: a camera is a {kind}, not a CameraFrame.")
        if camera.name in names:
            raise DataError(f"Frame {frame.token!r} has camera {camera.name!r} twice.")
        names.append(camera.name)
    missing = [name for name in data.camera_names if name not in names]
    if missing and (data.missing_cameras == "error" or len(missing) == len(data.camera_names)):
        raise DataError(
            f"Frame {frame.token!r} has no camera {missing[0]} (data.cameras); it has"
            f" {', '.join(names) or 'none'}."
        )


def _check_places(frame: Frame, data: DataConfig) -> None:
    """Raise an error for a file outside of the data root, such as ``root / "../a.jpg"``.

    A source that leaves ``data.root`` at its default may have its files anywhere else.
    """
    root = local_folder(data.root)
    paths = [camera.path for camera in frame.cameras]
    for path in [*paths, *([frame.lidar_path] if frame.lidar_path is not None else [])]:
        named = root != DataConfig.root or path.parts[: len(root.parts)] == root.parts
        if named and not is_below(path, root):
            raise DataError(
                f"Frame {frame.token!r} names the file {str(path)!r}, which is not below"
                f" --data.root {root}; correct its name, or set --data.root to a folder that"
                " contains all files."
            )


def _check_camera(camera: CameraFrame, where: str) -> None:
    if not isinstance(camera.path, Path):
        raise DataError(
            f"{where}: path of {camera.name} is {camera.path!r}; it must be a pathlib.Path."
        )
    views: list[tuple[CameraFrame | StoredImage, str]] = [(camera, "")]
    if camera.stored is not None:
        views.append((camera.stored, "stored "))
    for view, kind in views:
        _check_view(view, f"{where}: {kind}", camera.name)


def _check_view(view: CameraFrame | StoredImage, where: str, name: str) -> None:
    """Check lens, size and intrinsics; ``where`` is followed by what is wrong."""
    size = view.size
    if not isinstance(view.lens, Lens):
        raise DataError(
            f"{where}lens of {name} is {_described(view.lens)}; it must be a bev.geometry.Lens."
        )
    if (
        not isinstance(size, tuple | list)
        or len(size) != 2
        or not all(isinstance(n, int | np.integer) and n > 0 for n in size)
    ):
        raise DataError(f"{where}size of {name} is {size!r}; it must be (height, width) in pixels.")
    _check_matrix(view.intrinsics, (3, 3), f"{where}intrinsics of {name}")
    rows = view.intrinsics.tolist()
    if not (rows[0][0] > 0 and rows[1][1] > 0 and rows[2] == [0.0, 0.0, 1.0]):
        raise DataError(
            f"{where}intrinsics of {name} are {rows}; they must have focal lengths above 0"
            " on the diagonal and 0, 0, 1 in the last row."
        )


def _check_rigid(poses: dict[str, Tensor], where: str) -> None:
    for name, pose in poses.items():
        _check_matrix(pose, (4, 4), f"{where}: {name}")
        if fault := rigid_fault(pose):
            raise DataError(
                f"{where}: {name} {fault}; it must be a rigid transform, a rotation and a"
                " translation in metres."
            )


def _check_matrix(value: Tensor, shape: tuple[int, ...], what: str) -> None:
    if not isinstance(value, Tensor) or value.shape != shape or value.dtype != torch.float64:
        wanted = "x".join(map(str, shape))
        raise DataError(
            f"{what} is {_described(value)}; it must be a {wanted} tensor of torch.float64."
        )
    if not np.isfinite(value.numpy()).all():
        raise DataError(f"{what} is {value.tolist()}, which is not finite.")


def _check_boxes(boxes: Boxes3D, labels: LabelSpace, where: str) -> None:
    if not isinstance(boxes, Boxes3D):
        raise DataError(f"{where}: boxes are {_described(boxes)}, not Boxes3D.")
    count = len(boxes.center)
    for name, shape in {**_SHAPES, **dict.fromkeys(_NUMBERS, ())}.items():
        value, dtype = getattr(boxes, name), torch.int64 if name in _NUMBERS else torch.float32
        fits = isinstance(value, Tensor) and value.shape == (count, *shape)
        if not fits or value.dtype != dtype:
            raise DataError(
                f"{where}: boxes.{name} is {_described(value)}; it must be a tensor of shape"
                f" {(count, *shape)} and {dtype}, because there are {count} centers."
            )
    for name in ("center", "size", "yaw"):
        values = getattr(boxes, name).numpy().reshape(count, 1 if name == "yaw" else 3)
        good = np.isfinite(values) & (values > 0 if name == "size" else True)
        if not good.all():
            row = int((~good.all(axis=1)).argmax())
            wanted = "above 0" if name == "size" else "finite"
            raise DataError(
                f"{where}: boxes.{name} of box {row} is {values[row].tolist()}; all numbers must be"
                f" {wanted}, or remove the box."
            )
    limits = {"label": (0, labels.names), "attribute": (-1, labels.attributes)}
    for name, (least, known) in limits.items():
        numbers = getattr(boxes, name).numpy()
        wrong = numbers[(numbers < least) | (numbers >= len(known))]
        if len(wrong):
            raise DataError(
                f"{where}: boxes.{name} has {int(wrong[0])}; the source's label space has {least}"
                f" to {len(known) - 1} ({', '.join(known) or 'none'})."
            )


def _described(value: object) -> str:
    """Type and shape, for messages."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and {value.dtype}"
    return f"a {type(value).__name__}"

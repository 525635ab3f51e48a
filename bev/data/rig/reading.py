"""Reading of rig files (YAML)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bev.data.rig import values
from bev.data.rig.camera_info import read_camera_info
from bev.data.rig.patterns import check_pattern
from bev.data.rig.rig import Distortion, PinholeView, Rig, RigCamera, distortion_model
from bev.errors import ConfigError, DataError, shown
from bev.plain_yaml import load_yaml

CENTERS = {"integer": 0.5, "half": 0.0}
"""Position of the first pixel's centre, (0, 0) or (0.5, 0.5), and what is added to cx and cy."""

_COUNTS = {"plumb_bob": (4, 5), "rational_polynomial": (8, 12, 14), "fisheye": (4,)}
_LARGEST = 1e6  # of a coefficient of distortion
_RIG = ("cameras", "pixel_centers")
_CAMERA = (
    "name", "images", "width", "height", "intrinsics", "pixel_centers", "ego_from_camera",
    "distortion", "camera_info", "pinhole", "keep_lens",
)  # fmt: skip


def load_rig(path: Path) -> Rig:
    """Read a rig file.

    Args:
        path: YAML file, see ``docs/rigs.md``.

    Raises:
        DataError: if the file cannot be read or a value is missing, unknown or impossible; names
            the file, the camera and the key.
    """
    path = Path(path)
    found, cameras = _content(path)
    centers = found.get("pixel_centers", "integer")
    try:
        return Rig(tuple(_camera(camera, centers, path) for camera in cameras))
    except DataError as error:
        known = str(error)
        if known.startswith("The rig"):
            raise DataError(f"Rig {path}: {known[0].lower()}{known[1:]}") from error
        raise


def info_files(path: Path) -> tuple[Path, ...]:
    """Files with the calibration of cameras (``camera_info``) that a rig file names.

    Raises:
        DataError: if the rig file cannot be read.
    """
    named = [camera.get("camera_info") for camera in _content(path)[1] if isinstance(camera, dict)]
    return tuple(path.parent / name for name in named if isinstance(name, str))


def _content(path: Path) -> tuple[Mapping[str, Any], list[Any]]:
    """Keys of a rig file, and its cameras."""
    try:
        content = load_yaml(path)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataError(f"Rig {path} cannot be read ({why}); correct the file.") from error
    found = values.check_keys(content, _RIG, f"Rig {path}")
    cameras = found.get("cameras")
    if not isinstance(cameras, list) or not cameras:
        raise DataError(f"Rig {path} has no list of cameras; add cameras, each with a name.")
    return found, cameras


def _camera(content: Any, centers: Any, path: Path) -> RigCamera:
    if not isinstance(content, dict) or "name" not in content:
        raise DataError(f"Rig {path}: camera {shown(content)} has no name; give each camera one.")
    name = values.text(content["name"], f"Rig {path}: name of a camera")
    where = f"Rig {path}, camera {name}"
    found = dict(values.check_keys(content, _CAMERA, where))
    own_shift = _shift(found.get("pixel_centers", centers), where)  # of numbers in the rig file
    if "camera_info" in found:
        file = path.parent / values.text(found["camera_info"], f"{where}: camera_info")
        _fill(found, read_camera_info(file, where), where)
    for key in ("intrinsics", "ego_from_camera"):
        if key not in found:
            other = " or camera_info" if key == "intrinsics" else ""
            raise DataError(f"{where} has no {key}; add {key}{other}.")
    shift = _shift(found.get("pixel_centers", centers), where)
    images = values.text(found.get("images", f"{name}/*"), f"{where}: images")
    check_pattern(images, where)
    distortion = _distortion(found.get("distortion"), f"{where}: distortion")
    keep = found.get("keep_lens", False)
    if not isinstance(keep, bool):
        raise DataError(f"{where}: keep_lens is {shown(keep)}; set it to true or false.")
    pinhole = found.get("pinhole")
    if distortion is None and (pinhole is not None or keep):
        key = "keep_lens" if keep else "pinhole"
        raise DataError(f"{where} has {key} and no distortion; add distortion, or remove {key}.")
    if pinhole is not None and keep:
        raise DataError(f"{where} has pinhole and keep_lens; remove one of them.")
    return RigCamera(
        name=name,
        intrinsics=values.intrinsics(found["intrinsics"], shift, f"{where}: intrinsics"),
        ego_from_camera=values.pose(found["ego_from_camera"], f"{where}: ego_from_camera"),
        size=values.image_size(found, where),
        distortion=distortion,
        images=images,
        pinhole=_pinhole(pinhole, own_shift, f"{where}: pinhole"),
        keep_lens=keep,
    )


def _fill(found: dict[str, Any], info: dict[str, Any], where: str) -> None:
    """Add what a camera_info file has and the rig does not state."""
    if "intrinsics" in found:
        del info["pixel_centers"]
    for key in ("width", "height"):
        if key in found and found[key] != info.get(key, found[key]):
            raise DataError(
                f"{where}: {key} is {shown(found[key])}, but {shown(info[key])} in its camera_info;"
                " intrinsics belong to one size of images, so correct one of the two."
            )
    for key, value in info.items():
        found.setdefault(key, value)


def _shift(centers: Any, where: str) -> float:
    if not isinstance(centers, str) or centers not in CENTERS:
        raise DataError(
            f"{where}: pixel_centers is {shown(centers)}; set it to integer (OpenCV, ROS: the first"
            " pixel's centre is (0, 0)) or half (it is (0.5, 0.5))."
        )
    return CENTERS[centers]


def _distortion(content: Any, where: str) -> Distortion | None:
    if content is None:
        return None
    found = values.check_keys(content, ("model", "coefficients", "max_angle"), where)
    name = found.get("model")
    model = distortion_model(name)
    if model is None:
        raise DataError(
            f"{where}: model is {shown(name)}; set it to plumb_bob (4 or 5 coefficients),"
            " rational_polynomial (8) or fisheye (4)."
        )
    coefficients = found.get("coefficients")
    numbers = values.numbers(coefficients, _COUNTS[model], f"{where}: coefficients of {model}")
    if max(map(abs, numbers)) > _LARGEST:
        raise DataError(f"{where}: coefficients are {numbers}, which no lens has; correct them.")
    limit = found.get("max_angle")
    if limit is not None and model != "fisheye":
        raise DataError(f"{where} has max_angle, which is that of a fisheye; remove it.")
    angle = None if limit is None else values.number(limit, f"{where}: max_angle")
    distortion = Distortion(model, tuple(numbers), angle)
    try:
        distortion.lens()
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from error
    return distortion


def _pinhole(content: Any, shift: float, where: str) -> PinholeView | None:
    if content is None:
        return None
    found = dict(values.check_keys(content, ("intrinsics", "width", "height"), where))
    if "intrinsics" not in found:
        raise DataError(f"{where} has no intrinsics; add them.")
    matrix = values.intrinsics(found["intrinsics"], shift, f"{where}: intrinsics")
    return PinholeView(matrix, values.image_size(found, where))

"""Reading of ROS ``camera_info`` files: size, intrinsics and distortion of a camera.

The format is that of ``camera_calibration`` and ``camera_calibration_parsers``, or that of the
message ``sensor_msgs/CameraInfo``; of a file with several messages, the first is read. The
rectification and projection matrices are not used: distortion is removed by the rule of the rig.
"""

from pathlib import Path
from typing import Any

from bev.data.rig.rig import distortion_model
from bev.errors import DataError, shown
from bev.plain_yaml import load_yaml

_NONE = ("", "none")  # models of a camera without distortion; its coefficients are 0 or missing


def read_camera_info(path: Path, where: str) -> dict[str, Any]:
    """Read a file as values of a camera of a rig file: width, height, intrinsics, distortion.

    A message's size and camera matrix are those of the full image; its ``roi`` (a part, in pixels
    of the full image) and ``binning_x``, ``binning_y`` (pixels that are joined) give those of the
    images that are published.

    Args:
        path: YAML file.
        where: beginning of a message.

    Raises:
        DataError: if the file cannot be read, has no camera matrix, or a roi or binning that is
            none.
    """
    try:
        content = load_yaml(path, several=True)  # rostopic echo ends each message by ---
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataError(f"{where}: camera_info {path} cannot be read ({why}).") from error
    if not isinstance(content, dict):
        raise DataError(f"{where}: camera_info {path} has no keys with values.")
    result: dict[str, Any] = {"pixel_centers": "integer"}
    for name, key in (("image_width", "width"), ("image_height", "height")):
        if (found := content.get(name, content.get(key))) is not None:
            result[key] = found
    # Files of camera_calibration have camera_matrix; messages have K, and k since ROS 2.
    result["intrinsics"] = _data(content, ("camera_matrix", "K", "k"))
    if result["intrinsics"] is None:
        raise DataError(f"{where}: camera_info {path} has no camera_matrix (K); add it.")
    if found := _published(content, f"{where}: camera_info {path}"):
        result |= _cropped(result, found, f"{where}: camera_info {path}")
    numbers = _data(content, ("distortion_coefficients", "D", "d"))
    model = content.get("distortion_model", content.get("camera_model"))
    # Without coefficients a fisheye is still none: its angles are distances in the image.
    if isinstance(numbers, list) and not (numbers and distortion_model(model) == "fisheye"):
        numbers = numbers if any(number != 0 for number in numbers) else None
    if numbers is not None:
        if not isinstance(model, str) or model in _NONE:
            raise DataError(
                f"{where}: camera_info {path} has distortion coefficients {shown(numbers)} of the"
                f" distortion_model {shown(model)}; give plumb_bob, rational_polynomial or"
                " equidistant, or remove the coefficients if the images have no distortion."
            )
        result["distortion"] = {"model": model, "coefficients": numbers}
    return result


_ROI = ("x_offset", "y_offset", "width", "height")


def _published(content: dict[str, Any], where: str) -> tuple[int, ...] | None:
    """(binning_x, binning_y, *roi) of a message whose images are not the full ones, else None."""
    roi = content.get("roi") or {}
    if not isinstance(roi, dict):
        raise DataError(f"{where} has the roi {shown(roi)}; give {', '.join(_ROI)}, or remove it.")
    named = [(name, content.get(name, 0)) for name in ("binning_x", "binning_y")]
    named += [(f"roi.{name}", roi.get(name, 0)) for name in _ROI]
    for name, value in named:
        if type(value) is not int or value < 0:
            raise DataError(f"{where} has {name} {shown(value)}; give a whole number of pixels.")
    x, y, *part = (value for _, value in named)
    x, y = x or 1, y or 1  # 0 is the same as 1, and a roi of zeros is the full image
    return (x, y, *part) if (x, y) != (1, 1) or any(part) else None


def _cropped(full: dict[str, Any], published: tuple[int, ...], where: str) -> dict[str, Any]:
    """Size and intrinsics of a part of the full image whose pixels are joined."""
    x, y, left, top, width, height = published
    numbers = full["intrinsics"]
    flat = isinstance(numbers, list) and len(numbers) == 9
    if not flat or not all(isinstance(n, int | float) for n in numbers):
        raise DataError(f"{where} has the camera matrix {shown(numbers)}; give nine numbers.")
    wide, high = width or full.get("width"), height or full.get("height")
    result: dict[str, Any] = {}
    for name, pixels, joined in (("width", wide, x), ("height", high, y)):
        if pixels is not None:
            if type(pixels) is not int or pixels < joined:
                raise DataError(f"{where} has the {name} {shown(pixels)}; correct it.")
            result[name] = pixels // joined
    fx, skew, cx, zero, fy, cy, *last = numbers
    rows = [fx / x, skew / x, (cx - left) / x, zero, fy / y, (cy - top) / y, *last]
    return result | {"intrinsics": rows}


def _data(content: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Value of the first of some keys; of a matrix with rows, cols and data, its data."""
    found = next((content[name] for name in names if name in content), None)
    return found.get("data") if isinstance(found, dict) else found

"""Reading of ROS ``camera_info`` files: size, intrinsics and distortion of a camera.

The format is that of ``camera_calibration`` and ``camera_calibration_parsers``. The rectification
and projection matrices are not used: distortion is removed by the rule of the rig.
"""

from pathlib import Path
from typing import Any

from bev.data.rig.rig import distortion_model
from bev.errors import DataError, shown
from bev.plain_yaml import load_yaml

_NONE = ("", "none")  # models of a camera without distortion; its coefficients are 0 or missing


def read_camera_info(path: Path, where: str) -> dict[str, Any]:
    """Read a file as values of a camera of a rig file: width, height, intrinsics, distortion.

    Args:
        path: YAML file.
        where: beginning of a message.

    Raises:
        DataError: if the file cannot be read or has no camera matrix.
    """
    try:
        content = load_yaml(path)
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


def _data(content: dict[str, Any], names: tuple[str, ...]) -> Any:
    """Value of the first of some keys; of a matrix with rows, cols and data, its data."""
    found = next((content[name] for name in names if name in content), None)
    return found.get("data") if isinstance(found, dict) else found

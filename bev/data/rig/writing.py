"""Writing of rig files (YAML)."""

from pathlib import Path
from typing import Any

import yaml
from jaxtyping import Float
from torch import Tensor

from bev.data.rig.rig import Rig, RigCamera
from bev.files import replacing


def save_rig(rig: Rig, path: Path, comment: str = "") -> Path:
    """Write a rig file, which :func:`bev.data.rig.load_rig` reads without any rounding.

    Args:
        rig: the rig.
        path: YAML file; its folder is created.
        comment: lines at the beginning of the file.
    """
    path = Path(path)
    content = {"pixel_centers": "half", "cameras": [_camera(camera) for camera in rig.cameras]}
    lines = [f"# {line}\n" for line in comment.splitlines()]
    body = yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
        default_flow_style=False,
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text("".join(lines) + body, encoding="utf-8")
    return path


class _Row(list[float]):
    """Numbers that are written on one line."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    _Row, lambda dumper, row: dumper.represent_sequence("tag:yaml.org,2002:seq", row, True)
)


def _camera(camera: RigCamera) -> dict[str, Any]:
    result: dict[str, Any] = {"name": camera.name, "images": camera.images}
    result |= _size(camera.size)
    result["intrinsics"] = _rows(camera.intrinsics)
    if (distortion := camera.distortion) is not None:
        result["distortion"] = {
            "model": distortion.model,
            "coefficients": _Row(distortion.coefficients),
        }
        if distortion.max_angle is not None:
            result["distortion"]["max_angle"] = distortion.max_angle
    if (view := camera.pinhole) is not None:
        result["pinhole"] = _size(view.size) | {"intrinsics": _rows(view.intrinsics)}
    if camera.keep_lens:
        result["keep_lens"] = True
    result["ego_from_camera"] = _rows(camera.ego_from_camera)
    return result


def _size(size: tuple[int, int] | None) -> dict[str, int]:
    return {} if size is None else {"width": size[1], "height": size[0]}


def _rows(matrix: Float[Tensor, "rows columns"]) -> list[_Row]:
    return [_Row(row) for row in matrix.double().tolist()]

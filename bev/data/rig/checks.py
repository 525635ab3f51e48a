"""Rules for values of a camera rig, and sizes of its images, that cannot be right, or hardly."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import combinations
from pathlib import Path

import numpy as np
import torch

from bev.data.checks.files import IMAGE_TURNED
from bev.data.checks.findings import Findings, Kind
from bev.data.checks.frame_facts import camera_facts
from bev.data.checks.plausible import check_cameras
from bev.data.frame import CameraFrame, Frame, StoredImage
from bev.data.images.header import UPRIGHT, orientation
from bev.data.rig.frames import size_faults
from bev.geometry import Cameras

UNUSABLE = Kind(
    "image that cannot be used with its camera",
    "`bevlab detect` and other commands end with the first of these sentences.",
)
SCALED = Kind(
    "intrinsics that are as if for another size of images",
    "Give intrinsics of the stored images, and scale them with resized images.",
    is_error=False,
)
SAME_DIRECTION = Kind(
    "cameras that look in the same direction",
    "Ignore this for a stereo pair; otherwise one of the poses was copied.",
    is_error=False,
)
NAMED_DIRECTION = Kind(
    "camera that looks elsewhere than its name says",
    "Give poses from the camera to the ego frame (x forward, y left, z up), not their inverses;"
    " quaternions are w, x, y, z.",
    is_error=False,
)
FAR_AWAY = Kind(
    "camera more than 15 m from the vehicle's origin", "Give translations in metres.",
    is_error=False,
)  # fmt: skip
DISTORTED = Kind(
    "distortion that ends within the image",
    "Check the coefficients, their order and their model: part of the image has no direction.",
    is_error=False,
)
BLACK = Kind(
    "image without distortion that is mostly black",
    "Give a pinhole with a longer focal length or less width, or correct the distortion.",
    is_error=False,
)

_SHIFTED, _ALIKE = 0.12, 0.15  # of the principal point from the middle, as shares; and in x and y
_SAME, _TOGETHER = 1.0, 5.0  # degrees between axes, metres between cameras
_ELSEWHERE = 80.0  # degrees between the direction of the name and that of the pose
_FAR = 15.0  # metres
_LOST, _EMPTY = 0.02, 0.25  # shares of an image
_START = 2**16  # bytes of a file that contain its orientation
_GRID = 24  # rows and columns of pixels that are followed
_WORDS = {"front": 0.0, "left": 90.0, "back": 180.0, "rear": 180.0, "right": -90.0}
# As on nuScenes' vehicles.
_PAIRS = {
    frozenset({"front", "left"}): 55.0,
    frozenset({"front", "right"}): -55.0,
    frozenset({"back", "left"}): 115.0,
    frozenset({"back", "right"}): -115.0,
}


def check_rig(frame: Frame) -> Findings:
    """Findings on the cameras of a frame."""
    findings = Findings()
    check_cameras(camera_facts(frame, {camera.name for camera in frame.cameras}), findings)
    for camera in frame.cameras:
        _check_scale(camera, findings)
        _check_name(camera, findings)
        _check_distortion(camera, findings)
        if (away := float(camera.ego_from_camera[:2, 3].norm())) > _FAR:
            findings.add(FAR_AWAY, [f"{camera.name}: {away:.4g} m"])
    for one, other in combinations(frame.cameras, 2):
        axes = [camera.ego_from_camera[:3, 2].double() for camera in (one, other)]
        across = float(torch.linalg.cross(*axes).norm())  # exact at 0 and 180 degrees, unlike acos
        apart = math.degrees(math.atan2(across, float(axes[0] @ axes[1])))
        away = float((one.ego_from_camera - other.ego_from_camera)[:3, 3].norm())
        if apart < _SAME and away < _TOGETHER:
            apart = round(apart, 2)
            text = f"{one.name} and {other.name}: {apart:.2g} degrees and {away:.2g} m apart"
            findings.add(SAME_DIRECTION, [text])
    return findings


def check_images(frames: Sequence[Frame]) -> Findings:
    """Findings on images that cannot be read or have another size than their cameras."""
    findings = Findings()
    findings.add(UNUSABLE, map(str, size_faults(frames)))
    findings.extend(check_upright(frames))
    return findings


def check_upright(frames: Iterable[Frame]) -> Findings:
    """Findings on cameras whose first image is turned by its EXIF orientation."""
    findings, first = Findings(), dict[str, Path]()
    for frame in frames:
        for camera in frame.cameras:
            first.setdefault(camera.name, camera.path)
    for name, path in first.items():
        with suppress(OSError), path.open("rb") as file:
            if (turn := orientation(file.read(_START))) != UPRIGHT:
                findings.add(IMAGE_TURNED, [f"{path} of camera {name}: orientation {turn}"])
    return findings


def azimuth(camera: CameraFrame) -> float:
    """Direction of the optical axis, degrees to the left of ahead."""
    x, y = camera.ego_from_camera[:2, 2].tolist()
    return math.degrees(math.atan2(y, x))


def _check_scale(camera: CameraFrame, findings: Findings) -> None:
    """Find a principal point that is off the middle by the same factor in x and y."""
    view = camera.stored or camera
    height, width = view.size
    x, y = (2 * view.intrinsics[:2, 2] / torch.tensor([width, height])).tolist()
    off = min(abs(x - 1), abs(y - 1))
    if off > _SHIFTED and abs(x - y) < _ALIKE:
        factor = (x + y) / 2
        text = f"{camera.name}: principal point in the middle of {factor * width:.0f}x"
        text += f"{factor * height:.0f} px, but the images have {width}x{height} px"
        findings.add(SCALED, [text])


def _check_name(camera: CameraFrame, findings: Findings) -> None:
    expected = named_azimuth(camera.name)
    if expected is None or abs(float(camera.ego_from_camera[2, 2])) > 0.9:
        return
    found = azimuth(camera)
    if abs((found - expected + 180) % 360 - 180) > _ELSEWHERE:
        findings.add(NAMED_DIRECTION, [f"{camera.name} looks {side(found)}"])


def named_azimuth(name: str) -> float | None:
    """Direction that a camera's name states, degrees to the left of ahead; None without one."""
    words = [word for word in _WORDS if word in name.lower()]
    words = ["back" if word == "rear" else word for word in words]
    if len(words) == 1:
        return _WORDS[words[0]]
    return _PAIRS.get(frozenset(words))


def side(degrees: float) -> str:
    """A direction in words."""
    if abs(degrees) < 0.5 or abs(degrees) > 179.5:
        return "ahead" if abs(degrees) < 90 else "back"
    return f"{abs(degrees):.0f} degrees to the {'left' if degrees > 0 else 'right'} of ahead"


def _check_distortion(camera: CameraFrame, findings: Findings) -> None:
    stored = camera.stored
    if stored is None:
        return
    lost = 1 - float(_followed(stored, camera).isfinite().all(dim=-1).double().mean())
    if lost > _LOST:
        findings.add(DISTORTED, [f"{camera.name}: {100 * lost:.0f} % of the pixels"])
    empty = black_share(camera)
    if empty > _EMPTY:
        findings.add(BLACK, [f"{camera.name}: {100 * empty:.0f} % of the pixels"])


def _followed(view: CameraFrame | StoredImage, camera: CameraFrame) -> torch.Tensor:
    """Rays (P, 3) of a grid of pixels of a view."""
    matrix = torch.eye(3, dtype=torch.float64)
    cameras = Cameras(view.intrinsics, camera.ego_from_camera, matrix, view.lens)
    return cameras.rays(_grid(view.size))


def _grid(size: Sequence[int]) -> torch.Tensor:
    y, x = (torch.from_numpy((np.arange(_GRID) + 0.5) * side / _GRID) for side in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).reshape(-1, 2)


def black_share(camera: CameraFrame) -> float:
    """Share of the pixels of an image that its file does not show."""
    from bev.data.images.undistortion import file_positions

    if camera.stored is None:
        return 0.0
    scale = torch.tensor([_GRID / camera.size[1], _GRID / camera.size[0], 1.0]).double().diag()
    x, y = np.moveaxis(file_positions(camera, scale, (_GRID, _GRID)), -1, 0)
    height, width = camera.stored.size
    return float(1 - ((x >= 0) & (x <= width) & (y >= 0) & (y <= height)).mean())

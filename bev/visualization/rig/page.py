"""One page on a rig: its images with ground and horizon, its fields of view, and its figures."""

import math
import textwrap
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

from bev.data.checks.findings import Findings
from bev.data.frame import CameraFrame, Frame
from bev.data.rig.checks import azimuth, check_rig
from bev.visualization.canvas import draw_segments, draw_text, load_camera, text_size
from bev.visualization.check import HORIZON
from bev.visualization.colors import DARK, PALETTE, Color, Theme, text_on
from bev.visualization.layout import GAP, HEADER, MARGIN, camera_places
from bev.visualization.rig.above import draw_fields, draw_ground_plane
from bev.visualization.rig.fields import STEP, runs, seen_directions, width
from bev.visualization.rig.ground import GRID, RINGS, SPACING, draw_overlays, short_name

_INNER = 1704  # pixels between the margins
_PANEL = (_INNER - 2 * GAP) // 3
_LEGEND = 34
_GUIDE = (
    "Right if: the horizon lies on the scene's horizon (pitch, roll); grid lines along the vehicle"
    " follow lanes and kerbs (yaw); objects are as far away as the circles say (height, focal"
    " length).",
    "On the ground, markings continue from camera to camera; what stands above the ground is"
    " smeared away from the camera.",
)


def draw_rig(
    frame: Frame,
    findings: Findings | None = None,
    title: str = "Calibration check",
    theme: Theme = DARK,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw the page of a rig, from one moment.

    Args:
        frame: cameras with images.
        findings: what is written as warnings; by default that of :func:`check_rig`.
        title: title before the name of the moment.
        theme: colours of everything but photographs and cameras.

    Raises:
        DataError: if an image cannot be used.
    """
    findings = check_rig(frame) if findings is None else findings
    cameras = frame.cameras
    colors = [PALETTE[index % len(PALETTE)] for index in range(len(cameras))]
    images = [load_camera(camera) for camera in cameras]
    tiles = _tiles(cameras, images, colors, theme)
    lower = HEADER + tiles.shape[0] + _LEGEND
    page = np.full((lower + _PANEL + MARGIN, _INNER + 2 * MARGIN, 3), theme.background, np.uint8)
    _header(page, frame, title, theme)
    left = MARGIN + (_INNER - tiles.shape[1]) // 2
    page[HEADER : HEADER + tiles.shape[0], left : left + tiles.shape[1]] = tiles
    _legend(page, HEADER + tiles.shape[0], theme)
    seen = [seen_directions(camera) for camera in cameras]
    panels = [
        (draw_fields(cameras, seen, colors, _PANEL, theme, HORIZON), "fields of view, degrees"),
        (draw_ground_plane(cameras, images, colors, _PANEL, theme), "images on the ground"),
        (_table(cameras, seen, colors, findings, theme), ""),
    ]
    for number, (panel, text) in enumerate(panels):
        x = MARGIN + number * (_PANEL + GAP)
        draw_text(panel, text, (12, 22), 12, theme.text, plate=theme.panel)
        page[lower : lower + _PANEL, x : x + _PANEL] = panel
    return page


def _tiles(
    cameras: Sequence[CameraFrame],
    images: Sequence[np.ndarray],
    colors: Sequence[Color],
    theme: Theme,
) -> np.ndarray:
    """Images in their places, each with its name and a border in its colour."""
    places = camera_places([camera.name for camera in cameras])
    if len(cameras) in (1, 2, 4):
        places = [divmod(index, max(len(cameras), 2)) for index in range(len(cameras))]
    columns = max(max(column for _, column in places) + 1, 2)
    across = (_INNER - (columns - 1) * GAP) // columns
    ratio = max(min(camera.size[0] / camera.size[1], 1.5) for camera in cameras)
    down = round(across * ratio)
    rows = max(row for row, _ in places) + 1
    block = np.full(
        (rows * (down + GAP) - GAP, columns * (across + GAP) - GAP, 3), theme.background, np.uint8
    )
    for index, (camera, image) in enumerate(zip(cameras, images, strict=True)):
        scale = min(across / camera.size[1], down / camera.size[0])
        size = (round(camera.size[1] * scale), round(camera.size[0] * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        tile = np.ascontiguousarray(cv2.resize(image, size, interpolation=method))
        draw_overlays(tile, cameras, index, colors)
        cv2.rectangle(tile, (0, 0), (size[0] - 1, size[1] - 1), colors[index], 3)
        draw_text(
            tile, short_name(camera.name), (13, 23), 13, text_on(colors[index]), bold=True,
            plate=colors[index], opacity=0.9,
        )  # fmt: skip
        row, column = places[index]
        top = row * (down + GAP) + (down - size[1]) // 2
        left = column * (across + GAP) + (across - size[0]) // 2
        block[top : top + size[1], left : left + size[0]] = tile
    return block


def _header(page: np.ndarray, frame: Frame, title: str, theme: Theme) -> None:
    baseline = HEADER - 20
    draw_text(page, title, (MARGIN, baseline), 17, theme.text, bold=True)
    left = MARGIN + text_size(title, 17, bold=True)[0] + 18
    moment = frame.token.removeprefix(f"{frame.scene}/")
    draw_text(page, f"{frame.scene}  ·  {moment}", (left, baseline), 13, theme.faint_text)
    note = f"{len(frame.cameras)} cameras · without lidar: drawn from the calibration alone"
    right = page.shape[1] - MARGIN
    draw_text(page, note, (right, baseline), 13, theme.faint_text, anchor="rs")


def _legend(page: np.ndarray, top: int, theme: Theme) -> None:
    x, y = MARGIN, top + 22
    entries = [
        (HORIZON, "horizon"),
        (RINGS, "distance from the vehicle's origin on the ground"),
        (GRID if theme is DARK else theme.grid, f"ground grid of {SPACING:g} m, vehicle's outline"),
    ]
    for color, text in entries:
        draw_segments(page, np.array([[[x, y - 4], [x + 26, y - 4]]], float), color, 3)
        draw_text(page, text, (x + 34, y), 12, theme.text)
        x += 34 + text_size(text, 12)[0] + 26
    draw_text(page, "tinted: also seen by the camera of that colour", (x, y), 12, theme.text)


def _table(
    cameras: Sequence[CameraFrame],
    seen: Sequence[np.ndarray],
    colors: Sequence[Color],
    findings: Findings,
    theme: Theme,
) -> np.ndarray:
    """Figures of each camera, directions without a camera, warnings, and how to read the page."""
    panel = np.full((_PANEL, _PANEL, 3), theme.panel, np.uint8)
    counts = np.sum(seen, axis=0)
    poses = [_pose_figures(camera, own, counts) for camera, own in zip(cameras, seen, strict=True)]
    y = _rows(panel, 22, cameras, poses, colors, theme)
    y = _rows(panel, y + 30, cameras, [_lens_figures(camera) for camera in cameras], colors, theme)
    blind = [
        f"{_left(a)} to {_left(b)}"
        for a, b in (runs(counts == 0) if (counts == 0).any() else [])
        if b - a > STEP
    ]
    text = "no camera sees (degrees to the left of ahead): " + "; ".join(blind[:4])
    y = _write(panel, text if blind else "Every direction is seen.", y + 30, theme.text)
    for kind, found in findings.by_kind.items():
        more = f" (and {len(found) - 2} more)" if len(found) > 2 else ""
        severity = "error" if kind.is_error else "warning"
        y = _write(panel, f"{severity}: {kind.title}", y + 8, HORIZON, bold=True)
        y = _write(panel, "; ".join(found[:2]) + more, y, theme.text)
    if not findings.by_kind:
        y = _write(panel, "Nothing is implausible.", y, theme.text)
    for text in _GUIDE:
        y = _write(panel, text, y + 8, theme.faint_text)
    return panel


def _rows(
    panel: np.ndarray,
    y: int,
    cameras: Sequence[CameraFrame],
    figures: Sequence[dict[str, str]],
    colors: Sequence[Color],
    theme: Theme,
) -> int:
    """Draw a table with a row for each camera; returns the baseline of the last one."""
    columns = list(figures[0])
    widths = np.array([1.7 if name == "lens" else 1.0 for name in columns])
    share = 0.30 + 0.69 * np.cumsum(widths) / widths.sum()
    right = dict(zip(columns, (share * (_PANEL - 12)).tolist(), strict=True))
    for name in columns:
        draw_text(panel, name, (right[name], y), 12, theme.faint_text, anchor="rs")
    for camera, values, color in zip(cameras, figures, colors, strict=True):
        y += 19
        panel[y - 10 : y + 1, 12:23] = color
        draw_text(panel, short_name(camera.name)[:20], (32, y), 12, theme.text)
        for name, value in values.items():
            draw_text(panel, value, (right[name], y), 12, theme.text, anchor="rs")
    return y


def _pose_figures(camera: CameraFrame, own: np.ndarray, counts: np.ndarray) -> dict[str, str]:
    rotation = camera.ego_from_camera[:3, :3].numpy()
    pitch = math.degrees(math.asin(max(-1.0, min(1.0, rotation[2, 2]))))
    roll = math.degrees(math.atan2(-rotation[2, 0], -rotation[2, 1]))
    return {
        "field °": f"{width(own):.0f}",
        "shared °": f"{width(own & (counts > 1)):.0f}",
        "height m": f"{camera.ego_from_camera[2, 3].item():.2f}",
        "yaw °": f"{azimuth(camera):.1f}",
        "pitch °": f"{pitch:.1f}",
        "roll °": f"{roll:.1f}",
    }


def _lens_figures(camera: CameraFrame) -> dict[str, str]:
    view = camera.stored or camera
    (fx, _, cx), (_, _, cy), _ = view.intrinsics.tolist()
    lens = {"RadialTangential": "radial", "KannalaBrandt": "fisheye"}
    name = type(view.lens).__name__
    return {
        "image px": f"{view.size[1]}x{view.size[0]}",
        "focal px": f"{fx:.0f}",
        "centre %": f"{100 * cx / view.size[1]:.0f}, {100 * cy / view.size[0]:.0f}",
        "lens": lens.get(name, name.lower()) + (", removed" if camera.stored else ""),
    }


def _left(degrees: float) -> str:
    """Direction in degrees to the left of ahead, -180 to 180."""
    return f"{(degrees + 180) % 360 - 180:.0f}"


def _write(panel: np.ndarray, text: str, y: int, color: Color, bold: bool = False) -> int:
    """Write wrapped lines from a baseline; returns that of the line below."""
    for line in textwrap.wrap(text, 70 if bold else 82):
        if y < _PANEL - 8:
            draw_text(panel, line, (12, y), 12, color, bold=bold)
        y += 17
    return y

"""Views of a rig from above: the cameras' fields of view, and their images on the ground."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt8

from bev.data.frame import CameraFrame
from bev.visualization.bev_view import BevView, draw_ego
from bev.visualization.colors import Color, Theme, text_on
from bev.visualization.rig.fields import ground_owner, runs
from bev.visualization.rig.ground import RINGS, SHADE, short_name
from bev.visualization.surfaces.raster import RasterSurface

_FIELD_REACH, _GROUND_REACH = 11.0, 22.0  # metres
_ARC = 5.0  # degrees of an arc that are drawn as one line
_NAMED_FROM = 3.0  # degrees; smaller overlaps are not named


def draw_fields(
    cameras: Sequence[CameraFrame],
    seen: Sequence[Bool[np.ndarray, " D"]],
    colors: Sequence[Color],
    pixels: int,
    theme: Theme,
    warning: Color,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw each camera's field of view, with the degrees that two cameras share.

    Args:
        cameras: cameras of the rig.
        seen: directions that each sees, see :func:`bev.visualization.rig.fields.seen_directions`.
        colors: colour of each camera.
        pixels: side length of the picture.
        theme: colours of everything else.
        warning: colour of directions that no camera sees.
    """
    view = BevView(pixels, _FIELD_REACH)
    surface = RasterSurface(pixels, theme.panel)
    radius = 0.74 * _FIELD_REACH
    for camera, directions, color in zip(cameras, seen, colors, strict=True):
        for start, end in runs(directions):
            _sector(surface, view, _place(camera), (start, end), radius, color)
    for ring in (5.0, 10.0):
        surface.circle(view.locate(np.zeros(2)), ring * pixels / (2 * view.reach), theme.grid, 1)
    draw_ego(surface, view, theme)
    for camera, directions, color in zip(cameras, seen, colors, strict=True):
        place = _place(camera)
        surface.circle(view.locate(place), 4.0, color, 3)
        for start, end in runs(directions)[:1]:
            at = view.locate(place + 0.72 * radius * _unit((start + end) / 2))
            surface.text(short_name(camera.name), tuple(at), 12, text_on(color), "mm", color)
    counts = np.sum(seen, axis=0)
    for start, end in runs(counts > 1) if (counts > 1).any() else []:
        if start != 0 or end != 360:
            _degrees(surface, view, (start, end), "", theme.text, theme)
    for start, end in runs(counts == 0) if (counts == 0).any() else []:
        _degrees(surface, view, (start, end), "unseen ", warning, theme)
    for ring in (5.0, 10.0):
        at = view.locate(ring * _unit(-45.0))
        surface.text(f"{ring:g} m", tuple(at), 10, theme.faint_text, "mm", theme.panel)
    return surface.picture()


def draw_ground_plane(
    cameras: Sequence[CameraFrame],
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    colors: Sequence[Color],
    pixels: int,
    theme: Theme,
) -> UInt8[np.ndarray, "side side 3"]:
    """Project the images on the ground, each point from the camera that sees it best.

    Args:
        cameras: cameras of the rig.
        images: whole image of each camera, at any size.
        colors: colour of each camera, of the borders of what it shows.
        pixels: side length of the picture.
        theme: colours of everything else.
    """
    import cv2

    view = BevView(pixels, _GROUND_REACH)
    side = (np.arange(pixels) + 0.5 - pixels / 2) * (2 * view.reach / pixels)
    y, x = -side[None, :].repeat(pixels, 0), -side[:, None].repeat(pixels, 1)
    points = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    owner, places = ground_owner(cameras, points)
    owner, places = owner.reshape(pixels, pixels), places.reshape(pixels, pixels, 2)
    picture = np.full((pixels, pixels, 3), theme.panel, np.uint8)
    for number, (camera, image) in enumerate(zip(cameras, images, strict=True)):
        scale = np.array([image.shape[1] / camera.size[1], image.shape[0] / camera.size[0]])
        at = (places * scale - 0.5).astype(np.float32)
        shown = cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        own = owner == number
        picture[own] = shown[own]
    surface = RasterSurface(pixels, theme.panel)
    surface.cells(
        np.dstack([picture, np.full((pixels, pixels), 255, np.uint8)]),
        (0.0, 0.0, float(pixels), float(pixels)),
    )
    for number, color in enumerate(colors):
        edges, _ = cv2.findContours(
            (owner == number).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        for edge in edges:
            outline = edge[:, 0].astype(float) + 0.5
            surface.lines(np.stack([outline, np.roll(outline, -1, axis=0)], axis=1), color, 1)
    for ring in (10.0, 20.0):
        surface.circle(view.locate(np.zeros(2)), ring * pixels / (2 * view.reach), RINGS, 1)
        at = view.locate(ring * _unit(-45.0))
        surface.text(f"{ring:g} m", tuple(at), 10, RINGS, "mm", SHADE)
    draw_ego(surface, view, theme)
    return surface.picture()


def _place(camera: CameraFrame) -> np.ndarray:
    return camera.ego_from_camera[:2, 3].numpy()


def _unit(degrees: float) -> np.ndarray:
    return np.array([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])


def _sector(
    surface: RasterSurface,
    view: BevView,
    place: np.ndarray,
    span: tuple[float, float],
    radius: float,
    color: Color,
) -> None:
    start, end = span
    count = max(2, round((end - start) / _ARC) + 1)
    arc = np.array([place + radius * _unit(angle) for angle in np.linspace(start, end, count)])
    points = view.locate(arc)
    middle = view.locate(place)
    whole = end - start >= 360
    if end - start < 180:
        surface.fill(np.concatenate([middle[None], points]), color, 0.20)
    else:  # a wide sector is not convex
        for one, other in zip(points, points[1:], strict=False):
            surface.fill(np.stack([middle, one, other]), color, 0.20)
    border = points if whole else np.concatenate([middle[None], points, middle[None]])
    surface.lines(np.stack([border[:-1], border[1:]], axis=1), color, 1.5)


def _degrees(
    surface: RasterSurface,
    view: BevView,
    span: tuple[float, float],
    what: str,
    color: Color,
    theme: Theme,
) -> None:
    """Write the width of an interval of directions beside the fields."""
    start, end = span
    if end - start < _NAMED_FROM:
        return
    arc = [0.84 * view.reach * _unit(a) for a in np.linspace(start, end, round(end - start) + 2)]
    points = view.locate(np.array(arc))
    surface.lines(np.stack([points[:-1], points[1:]], axis=1), color, 3)
    at = view.locate(0.92 * view.reach * _unit((start + end) / 2))
    surface.text(f"{what}{end - start:.0f}°", tuple(at), 11, color, "mm", theme.panel)

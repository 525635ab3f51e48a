"""Horizon, ground and neighbours drawn into the image of a camera, from its calibration alone."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from bev.data.frame import CameraFrame
from bev.geometry import Cameras, apply_transform, inverse_rigid
from bev.visualization.bev_view import EGO_OUTLINE
from bev.visualization.camera_view import scaled_camera
from bev.visualization.canvas import draw_segments, draw_text, text_size
from bev.visualization.check import HORIZON, horizon_lines
from bev.visualization.colors import Color, text_on
from bev.visualization.rig.fields import seen_by
from bev.visualization.sight import sight_of

GRID: Color = (255, 255, 255)
RINGS: Color = (255, 221, 87)
SHADE: Color = (12, 14, 18)  # behind lines and text on photographs
SPACING, REACH = 5.0, 40.0
"""Distance between lines of the grid, and their reach, metres."""
DISTANCES = (5.0, 10.0, 20.0, 40.0)
"""Radii of the circles around the vehicle, metres."""
NEIGHBOUR = 30.0
"""Distance at which the overlap of two cameras is drawn, metres."""

_PIECE = 2.5  # metres of a line that are projected at once
_STEPS = np.radians(np.arange(0, 361, 3))
_CELL = 3  # pixels of the picture for each cell of the overlap


def draw_overlays(
    image: UInt8[np.ndarray, "H W 3"],
    cameras: Sequence[CameraFrame],
    index: int,
    colors: Sequence[Color],
) -> None:
    """Draw the ground, the horizon and the overlap with other cameras into an image, in place.

    Args:
        image: whole image of the camera, at any size.
        cameras: cameras of the rig.
        index: camera of the image.
        colors: colour of each camera.
    """
    size = (image.shape[0], image.shape[1])
    camera = scaled_camera(cameras[index], size)
    names = _tint_overlap(image, cameras, index, colors)
    lines = image.copy()
    draw_segments(lines, _projected(camera, size, _grid()), GRID, 1)
    image[:] = cv2.addWeighted(lines, 0.5, image, 0.5, 0.0)
    outline = np.array([(x, y, 0.0) for x, y in EGO_OUTLINE])
    around = np.stack([outline, np.roll(outline, -1, axis=0)], axis=1)
    draw_segments(image, _projected(camera, size, around), GRID, 2)
    for radius in DISTANCES:
        _ring(image, camera, radius)
    horizon = horizon_lines(camera, size)
    draw_segments(image, horizon, HORIZON, 2)
    for text, at, color in names:
        half = text_size(text, 11)[0] / 2 + 6
        place = (float(np.clip(at, half, size[1] - half)), size[0] - 14.0)
        style: dict[str, Any] = {"anchor": "ms", "plate": color, "opacity": 0.9}
        draw_text(image, text, place, 11, text_on(color), **style)


def _grid() -> Float[np.ndarray, "S 2 3"]:
    """Lines along and across the vehicle, in pieces."""
    along = np.arange(-REACH, REACH, _PIECE)
    pieces = []
    for offset in np.arange(-REACH, REACH + 0.1, SPACING):
        zero = np.zeros_like(along)
        fixed = np.full_like(along, offset)
        start, end = [along, fixed, zero], [along + _PIECE, fixed, zero]
        pieces.append(np.stack([np.stack(start, -1), np.stack(end, -1)], axis=1))
        pieces.append(pieces[-1][..., [1, 0, 2]])
    return np.concatenate(pieces)


def _projected(
    camera: Cameras, size: tuple[int, int], segments: Float[np.ndarray, "S 2 3"]
) -> Float[np.ndarray, "P 2 2"]:
    ego = torch.from_numpy(np.ascontiguousarray(segments))
    inside = apply_transform(inverse_rigid(camera.ego_from_camera), ego)
    return sight_of(camera, size).lines(inside.numpy())


def _ring(image: np.ndarray, camera: Cameras, radius: float) -> None:
    """Draw a circle on the ground around the vehicle, named where it crosses the image."""
    size = (image.shape[0], image.shape[1])
    ring = radius * np.stack([np.cos(_STEPS), np.sin(_STEPS), 0 * _STEPS], axis=1)
    lines = _projected(camera, size, np.stack([ring[:-1], ring[1:]], axis=1))
    draw_segments(image, lines, SHADE, 3)
    draw_segments(image, lines, RINGS, 2)
    points = lines.mean(axis=1)
    margin = np.array([40.0, 24.0])
    free = ((points > margin) & (points < np.array(size[::-1]) - margin)).all(axis=1)
    if free.any():
        points = points[free]
        at = points[np.abs(points[:, 0] - size[1] / 2).argmin()]
        draw_text(image, f"{radius:g} m", (at[0], at[1]), 11, RINGS, anchor="mm", plate=SHADE)


def _tint_overlap(
    image: np.ndarray, cameras: Sequence[CameraFrame], index: int, colors: Sequence[Color]
) -> list[tuple[str, float, Color]]:
    """Tint what other cameras see too; returns the name, place and colour of each of them."""
    size = (image.shape[0], image.shape[1])
    small = (-(-size[0] // _CELL), -(-size[1] // _CELL))
    names = []
    for number, other in enumerate(cameras):
        if number == index:
            continue
        seen = seen_by(cameras[index], other, small, NEIGHBOUR)
        if not seen.any():
            continue
        fine = cv2.resize(seen.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR)
        whole = (fine > 0.5).astype(np.uint8)
        tint = np.asarray(colors[number], float)
        mask = whole.astype(bool)
        image[mask] = np.round(0.68 * image[mask] + 0.32 * tint).astype(np.uint8)
        edges, _ = cv2.findContours(whole, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(image, edges, -1, colors[number], 1, cv2.LINE_AA)
        columns = np.flatnonzero(mask.any(axis=0))
        names.append((short_name(other.name), float(columns.mean()) + 0.5, colors[number]))
    return names


def short_name(name: str) -> str:
    """Name of a camera in pictures."""
    return name.removeprefix("CAM_").replace("_", " ").lower()

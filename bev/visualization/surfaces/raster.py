"""A surface of pixels, drawn at twice its size and reduced, for clean thin slanted lines."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from bev.visualization.canvas import BITS, draw_segments, draw_text, fill_polygon, fixed_point
from bev.visualization.colors import Color
from bev.visualization.surfaces.base import Surface

_FINE = 2  # drawing scale before reduction


class RasterSurface(Surface):
    """Surface of pixels.

    Args:
        pixels: side length of the picture.
        background: RGB.
    """

    def __init__(self, pixels: int, background: Color) -> None:
        self._pixels = pixels
        self._fine = np.empty((pixels * _FINE, pixels * _FINE, 3), np.uint8)
        self._fine[:] = background
        self._texts: list[tuple] = []

    def picture(self) -> UInt8[np.ndarray, "H W 3"]:
        """The picture, RGB."""
        size = (self._pixels, self._pixels)
        picture: np.ndarray = cv2.resize(self._fine, size, interpolation=cv2.INTER_AREA)
        for text, at, size_of_text, color, anchor, plate in self._texts:
            draw_text(picture, text, at, size_of_text, color, anchor=anchor, plate=plate)
        return picture

    def lines(self, segments: Float[np.ndarray, "S 2 2"], color: Color, width: float) -> None:
        draw_segments(self._fine, segments * _FINE, color, _thickness(width))

    def fill(self, polygon: Float[np.ndarray, "P 2"], color: Color, opacity: float = 1.0) -> None:
        fill_polygon(self._fine, polygon * _FINE, color, opacity)

    def circle(
        self, center: Float[np.ndarray, "2"], radius: float, color: Color, width: float
    ) -> None:
        at, size = fixed_point(center * _FINE).tolist(), round(radius * _FINE * (1 << BITS))
        cv2.circle(self._fine, at, size, color, _thickness(width), cv2.LINE_AA, BITS)

    def dots(self, points: Float[np.ndarray, "P 2"], colors: UInt8[np.ndarray, "P 3"]) -> None:
        side = len(self._fine)
        corners = np.floor(np.clip(points * _FINE, -9.0, side + 9.0)).astype(int)
        for dx in range(_FINE):
            for dy in range(_FINE):
                x, y = corners[:, 0] + dx, corners[:, 1] + dy
                seen = (x >= 0) & (y >= 0) & (x < side) & (y < side)
                self._fine[y[seen], x[seen]] = colors[seen]

    def cells(
        self, colors: UInt8[np.ndarray, "R C 4"], box: tuple[float, float, float, float]
    ) -> None:
        left, top, right, bottom = box
        centers = (np.arange(len(self._fine)) + 0.5) / _FINE
        row = np.floor((centers - top) / (bottom - top) * colors.shape[0]).astype(int)
        column = np.floor((centers - left) / (right - left) * colors.shape[1]).astype(int)
        rows = np.flatnonzero((row >= 0) & (row < colors.shape[0]))
        columns = np.flatnonzero((column >= 0) & (column < colors.shape[1]))
        if not len(rows) or not len(columns):
            return
        part = self._fine[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        over = colors[row[rows]][:, column[columns]]
        painted = over[..., 3] > 0
        opacity = over[painted][:, 3:] / 255
        part[painted] = np.round((1 - opacity) * part[painted] + opacity * over[painted][:, :3])

    def text(
        self,
        text: str,
        at: tuple[float, float],
        size: int,
        color: Color,
        anchor: str = "ls",
        plate: Color | None = None,
    ) -> None:
        self._texts.append((text, at, size, color, anchor, plate))


def _thickness(width: float) -> int:
    return max(round(width * _FINE), 1)

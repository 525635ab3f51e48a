"""Interface of the surfaces that a BEV is drawn on.

What is drawn, and where, is decided once, in ``bev.visualization.bev_view``; a surface only renders
it. Pixels and vector graphics therefore have the same geometry.
"""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float, UInt8

from bev.visualization.colors import Color


class Surface(ABC):
    """Square picture; coordinates and lengths in pixels, x right, y down, from its corner."""

    @abstractmethod
    def lines(self, segments: Float[np.ndarray, "S 2 2"], color: Color, width: float) -> None:
        """Draw straight lines."""

    @abstractmethod
    def fill(self, polygon: Float[np.ndarray, "P 2"], color: Color, opacity: float = 1.0) -> None:
        """Fill a convex polygon."""

    @abstractmethod
    def circle(
        self, center: Float[np.ndarray, "2"], radius: float, color: Color, width: float
    ) -> None:
        """Draw a circle."""

    @abstractmethod
    def dots(self, points: Float[np.ndarray, "P 2"], colors: UInt8[np.ndarray, "P 3"]) -> None:
        """Draw points of one pixel."""

    @abstractmethod
    def cells(
        self, colors: UInt8[np.ndarray, "R C 4"], box: tuple[float, float, float, float]
    ) -> None:
        """Fill a rectangle (left, top, right, bottom) with R x C equal cells, RGB and opacity."""

    @abstractmethod
    def text(
        self,
        text: str,
        at: tuple[float, float],
        size: int,
        color: Color,
        anchor: str = "ls",
        plate: Color | None = None,
    ) -> None:
        """Write a line of text above everything else; see ``bev.visualization.canvas.draw_text``.

        Args:
            text: text to write.
            at: position of the anchor.
            size: font size.
            color: RGB.
            anchor: point of the text at this position: "ls" (left, baseline) or "mm" (middle).
            plate: colour of a plate behind the text, or None.
        """

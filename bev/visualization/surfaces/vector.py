"""A surface of a vector graphic, a figure of matplotlib: SVG and PDF for papers."""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon

from bev.visualization.colors import Color
from bev.visualization.surfaces.base import Surface

_DPI = 100  # pixels of the picture per inch
_POINTS = 72 / _DPI  # points per pixel


class VectorSurface(Surface):
    """Surface of a figure whose data coordinates are the pixels of the picture.

    Lidar points and cells are pictures within the graphic, everything else are its lines, areas and
    letters.

    Args:
        pixels: side length of the picture.
        background: RGB.

    Attributes:
        figure: the figure.
    """

    def __init__(self, pixels: int, background: Color) -> None:
        self.figure = Figure(figsize=(pixels / _DPI, pixels / _DPI), dpi=_DPI)
        FigureCanvasAgg(self.figure)
        self.figure.patch.set_facecolor(_rgb(background))
        self._axes: Any = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self._axes.set(xlim=(0, pixels), ylim=(pixels, 0), autoscale_on=False)
        self._axes.set_axis_off()
        self._order = 0

    def _above(self) -> int:
        """Draw order of the next element: above all that came before it."""
        self._order += 1
        return self._order

    def lines(self, segments: Float[np.ndarray, "S 2 2"], color: Color, width: float) -> None:
        self._axes.add_collection(
            LineCollection(
                list(segments),
                colors=[_rgb(color)],
                linewidths=width * _POINTS,
                capstyle="round",
                zorder=self._above(),
            ),
            autolim=False,
        )

    def fill(self, polygon: Float[np.ndarray, "P 2"], color: Color, opacity: float = 1.0) -> None:
        self._axes.add_patch(
            Polygon(polygon, facecolor=(*_rgb(color), opacity), lw=0, zorder=self._above())
        )

    def circle(
        self, center: Float[np.ndarray, "2"], radius: float, color: Color, width: float
    ) -> None:
        line = {"edgecolor": _rgb(color), "lw": width * _POINTS}
        x, y = center.tolist()
        self._axes.add_patch(Circle((x, y), radius, fill=False, zorder=self._above(), **line))

    def dots(self, points: Float[np.ndarray, "P 2"], colors: UInt8[np.ndarray, "P 3"]) -> None:
        x, y = points.T
        self._axes.scatter(
            x, y, s=_POINTS**2, c=colors / 255, marker="s", lw=0, rasterized=True,
            zorder=self._above(),
        )  # fmt: skip

    def cells(
        self, colors: UInt8[np.ndarray, "R C 4"], box: tuple[float, float, float, float]
    ) -> None:
        left, top, right, bottom = box
        self._axes.imshow(
            colors, extent=(left, right, bottom, top), interpolation="nearest", aspect="auto",
            zorder=self._above(),
        )  # fmt: skip

    def text(
        self,
        text: str,
        at: tuple[float, float],
        size: int,
        color: Color,
        anchor: str = "ls",
        plate: Color | None = None,
    ) -> None:
        middle = anchor == "mm"
        box = None
        if plate is not None:
            box = {"facecolor": (*_rgb(plate), 0.72), "lw": 0, "pad": 0.3 * size * _POINTS}
        self._axes.text(
            *at, text, size=size * _POINTS, color=_rgb(color), bbox=box, zorder=1e6, clip_on=True,
            ha="center" if middle else "left", va="center" if middle else "baseline",
            parse_math=False,
        )  # fmt: skip


def _rgb(color: Color) -> tuple[float, float, float]:
    red, green, blue = color
    return red / 255, green / 255, blue / 255

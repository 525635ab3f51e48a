"""Line styles that tell the predictions of several sources apart in one picture.

The colour of a box is that of its class, whatever the source; the line style is that of its source.
"""

from dataclasses import dataclass
from typing import NamedTuple

from bev.geometry import Boxes3D


@dataclass(frozen=True)
class LineStyle:
    """Line style of the boxes of one source.

    Attributes:
        mark: letter before scores where a picture has several sources.
        dash, gap: lengths in camera images, pixels; dash 0 for solid lines. They are shorter in the
            BEV, whose boxes are smaller.
        filled: whether footprints and fronts are filled.
        row: scores are written this many lines beside those of the first source.
    """

    mark: str = ""
    dash: float = 0.0
    gap: float = 0.0
    filled: bool = False
    row: int = 0


LINE_STYLES = (
    LineStyle("A", filled=True),
    LineStyle("B", dash=6.0, gap=8.0, row=1),
    LineStyle("C", dash=1.0, gap=6.0, row=2),
    LineStyle("D", row=3),
)
"""Styles in the order of the sources: filled, dashed, dotted and solid outlines."""


class NamedBoxes(NamedTuple):
    """Predictions of one source.

    Attributes:
        name: name in the legend.
        boxes: boxes in the reference ego frame of the drawn frame.
    """

    name: str
    boxes: Boxes3D


def short_name(text: str, longest: int = 36) -> str:
    """A name that fits a legend: printable, and shortened in its middle."""
    text = "".join(one if one.isprintable() else "?" for one in text)
    half = longest // 2
    return text if len(text) <= longest else f"{text[: half - 1]}…{text[-half:]}"

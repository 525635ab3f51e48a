"""Themes of pictures, and the colours of classes and layers; RGB.

Classes and layers have the colours of their label space, or else those of a palette. The colours of
the palette differ from one another, from both themes' panels and from the lines of ground truth for
readers with any kind of colour blindness; tests/visualization/test_colors.py measures it.
"""

from dataclasses import dataclass
from typing import Literal

from bev.data.labels import LabelSpace

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Theme:
    """Colours of everything in a picture but classes, layers and photographs.

    Attributes:
        background: ground of the sheet.
        panel: ground of the BEV and of maps.
        grid: range rings and axes.
        text, faint_text: main and secondary text.
        ground_truth: lines of ground truth.
        halo: border of lines on photographs, which contrasts with ``ground_truth``.
        lidar: lidar points in the BEV.
        ego: the ego vehicle.
    """

    background: Color
    panel: Color
    grid: Color
    text: Color
    faint_text: Color
    ground_truth: Color
    halo: Color
    lidar: Color
    ego: Color


DARK = Theme(
    background=(17, 20, 26),
    panel=(24, 28, 36),
    grid=(58, 66, 80),
    text=(226, 232, 240),
    faint_text=(140, 150, 166),
    ground_truth=(255, 255, 255),
    halo=(12, 14, 18),
    lidar=(96, 112, 136),
    ego=(203, 213, 225),
)
LIGHT = Theme(
    background=(255, 255, 255),
    panel=(247, 248, 250),
    grid=(208, 213, 221),
    text=(24, 28, 36),
    faint_text=(92, 101, 116),
    ground_truth=(0, 0, 0),
    halo=(255, 255, 255),
    lidar=(168, 176, 190),
    ego=(71, 80, 96),
)
ThemeName = Literal["dark", "light"]
THEMES: dict[ThemeName, Theme] = {"dark": DARK, "light": LIGHT}

PALETTE: tuple[Color, ...] = (
    (215, 140, 49), (66, 150, 246), (186, 221, 3), (254, 63, 139), (110, 212, 186),
    (114, 76, 238), (214, 204, 140), (216, 15, 20), (144, 153, 168), (142, 104, 78),
)  # fmt: skip


def text_on(color: Color) -> Color:
    """Black or white, whichever is easier to read on a ground of this colour."""
    red, green, blue = color
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else (255, 255, 255)


def class_color(space: LabelSpace, label: int) -> Color:
    """Colour of a class, by its index."""
    color = space.classes[label].color if label < len(space.classes) else None
    return color or PALETTE[label % len(PALETTE)]


def layer_color(space: LabelSpace, layer: int) -> Color:
    """Colour of a layer, by its index."""
    return space.layers[layer].color or PALETTE[layer % len(PALETTE)]


def class_name(space: LabelSpace, label: int) -> str:
    """Name of a class for pictures, by its index."""
    known = label < len(space.classes)
    return space.names[label].replace("_", " ") if known else f"class {label}"

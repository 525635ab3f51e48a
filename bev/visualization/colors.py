"""Colours of all pictures, RGB.

Classes and layers have the colours of their label space, or else those of a palette whose colours
are distinguishable on dark ground and on photographs.
"""

from bev.data.labels import LabelSpace

Color = tuple[int, int, int]

PALETTE: tuple[Color, ...] = (
    (255, 158, 27), (56, 189, 248), (163, 230, 53), (255, 111, 186), (250, 224, 80),
    (198, 120, 255), (45, 212, 170), (255, 92, 77), (148, 163, 184), (214, 158, 96),
)  # fmt: skip

BACKGROUND: Color = (17, 20, 26)
PANEL: Color = (24, 28, 36)
GRID: Color = (58, 66, 80)
TEXT: Color = (226, 232, 240)
FAINT_TEXT: Color = (140, 150, 166)
GROUND_TRUTH: Color = (255, 255, 255)
LIDAR: Color = (96, 112, 136)
EGO: Color = (203, 213, 225)


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

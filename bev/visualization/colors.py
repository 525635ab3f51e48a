"""The colours of all pictures, RGB: one per class, told apart on dark ground and on photographs.

Layers of the BEV have colours of their own; vehicles that of cars.
"""

from bev.data.nuscenes.classes import CLASSES, LAYERS

Color = tuple[int, int, int]

CLASS_COLORS: dict[str, Color] = {
    "car": (255, 158, 27),
    "truck": (255, 92, 77),
    "construction_vehicle": (214, 158, 96),
    "bus": (255, 111, 186),
    "trailer": (198, 120, 255),
    "barrier": (148, 163, 184),
    "motorcycle": (250, 224, 80),
    "bicycle": (163, 230, 53),
    "pedestrian": (56, 189, 248),
    "traffic_cone": (45, 212, 170),
}

LAYER_COLORS: dict[str, Color] = {
    "vehicle": (255, 158, 27),
    "drivable_area": (64, 110, 160),
    "divider": (163, 230, 53),
    "ped_crossing": (198, 120, 255),
    "walkway": (45, 170, 140),
    "stop_line": (255, 92, 77),
    "carpark_area": (214, 158, 96),
    "lane": (110, 130, 200),
    "road_segment": (90, 150, 150),
}

BACKGROUND: Color = (17, 20, 26)
PANEL: Color = (24, 28, 36)
GRID: Color = (58, 66, 80)
TEXT: Color = (226, 232, 240)
FAINT_TEXT: Color = (140, 150, 166)
TRUTH: Color = (255, 255, 255)
LIDAR: Color = (96, 112, 136)
EGO: Color = (203, 213, 225)


def class_color(label: int) -> Color:
    """The colour of a class index."""
    return CLASS_COLORS[CLASSES[label]]


def layer_color(layer: int) -> Color:
    """The colour of a layer of the BEV."""
    return LAYER_COLORS[LAYERS[layer]]

"""The label space of nuScenes: detection classes, attributes and BEV segmentation layers."""

from bev.data.labels import LabelSpace, Layer, ObjectClass

ATTRIBUTES = (
    "cycle.with_rider",
    "cycle.without_rider",
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)


def _of(kind: str, at_rest: str, moving: str) -> dict:
    """Attributes of a class; the default attribute at rest is that of published code."""
    names = tuple(name for name in ATTRIBUTES if name.startswith(f"{kind}."))
    return {"attributes": names, "at_rest": f"{kind}.{at_rest}", "moving": f"{kind}.{moving}"}


_PARKED = _of("vehicle", "parked", "moving")
_STOPPED = _of("vehicle", "stopped", "moving")
_CYCLE = _of("cycle", "without_rider", "with_rider")
_PERSON = _of("pedestrian", "standing", "moving")

# Tasks, and the NMS factors and overlaps, are BEVDet's. Published code lists 4, 12, 10, 1, 0.85 and
# 0.175 as radii of circle NMS but compares them with squared distances, hence the square roots.
# Colours: see bev.visualization.colors; saved configs keep the ones that they were saved with.
_CLASSES = (
    ObjectClass("car", **_PARKED, nms_radius=4.0**0.5, color=(215, 140, 49)),
    ObjectClass(
        "truck", **_PARKED, task="truck", nms_rescale_factor=0.7, nms_radius=12.0**0.5,
        color=(216, 15, 20),
    ),
    ObjectClass(
        "construction_vehicle", **_PARKED, task="truck", nms_rescale_factor=0.7,
        nms_radius=12.0**0.5, color=(142, 104, 78),
    ),
    ObjectClass(
        "bus", **_STOPPED, task="bus", nms_rescale_factor=0.4, nms_radius=10.0**0.5,
        color=(254, 63, 139),
    ),
    ObjectClass(
        "trailer", **_PARKED, task="bus", nms_rescale_factor=0.55, nms_radius=10.0**0.5,
        color=(114, 76, 238),
    ),
    ObjectClass(
        "barrier", nms_rescale_factor=1.1, heading="axis", moves=False, color=(144, 153, 168)
    ),
    ObjectClass(
        "motorcycle", **_CYCLE, task="cycle", nms_radius=0.85**0.5, color=(214, 204, 140)
    ),
    ObjectClass("bicycle", **_CYCLE, task="cycle", nms_radius=0.85**0.5, color=(186, 221, 3)),
    ObjectClass(
        "pedestrian", **_PERSON, task="small", nms_rescale_factor=4.5, nms_overlap=0.5,
        nms_radius=0.175**0.5, color=(66, 150, 246),
    ),
    ObjectClass(
        "traffic_cone", task="small", nms_rescale_factor=9.0, nms_overlap=0.5,
        nms_radius=0.175**0.5, heading="none", moves=False, color=(110, 212, 186),
    ),
)  # fmt: skip

CLASSES = tuple(one.name for one in _CLASSES)

# Class of each category that has one, as in the devkit's evaluation.
CLASS_OF_CATEGORY = {
    "movable_object.barrier": "barrier",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}

# Maximum distance from the ego origin, metres, of the boxes of a class in the official evaluation
# (nuScenes detection_cvpr_2019).
CLASS_RANGE = {
    "car": 50.0,
    "truck": 50.0,
    "construction_vehicle": 50.0,
    "bus": 50.0,
    "trailer": 50.0,
    "barrier": 30.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "pedestrian": 40.0,
    "traffic_cone": 30.0,
}

# BEV segmentation layers. "vehicle" contains every box whose category begins with "vehicle", as in
# Lift-Splat-Shoot (Philion and Fidler 2020), including cycles and emergency vehicles. The others
# are layers of nuScenes' map expansion; "divider" joins its road_divider and lane_divider.
VEHICLE = "vehicle"
DIVIDER = "divider"
_LAYERS = (
    Layer(VEHICLE, (255, 158, 27), of_boxes=True),
    Layer("drivable_area", (64, 110, 160), of_map=True),
    Layer(DIVIDER, (163, 230, 53), of_map=True),
    Layer("ped_crossing", (198, 120, 255), of_map=True),
    Layer("walkway", (45, 170, 140), of_map=True),
    Layer("stop_line", (255, 92, 77), of_map=True),
    Layer("carpark_area", (214, 158, 96), of_map=True),
    Layer("lane", (110, 130, 200), of_map=True),
    Layer("road_segment", (90, 150, 150), of_map=True),
)
LAYERS = tuple(layer.name for layer in _LAYERS)

NUSCENES = LabelSpace(_CLASSES, ATTRIBUTES, _LAYERS)

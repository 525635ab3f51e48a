"""The ten nuScenes detection classes, their attributes and official ranges; layers of the BEV."""

CLASSES = (
    "car",
    "truck",
    "construction_vehicle",
    "bus",
    "trailer",
    "barrier",
    "motorcycle",
    "bicycle",
    "pedestrian",
    "traffic_cone",
)

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

# The attribute of what stands still, as published code has it; "" for classes without attributes.
# Its first word is the kind of all attributes that the class can have.
AT_REST = {
    "car": "vehicle.parked",
    "truck": "vehicle.parked",
    "construction_vehicle": "vehicle.parked",
    "bus": "vehicle.stopped",
    "trailer": "vehicle.parked",
    "barrier": "",
    "motorcycle": "cycle.without_rider",
    "bicycle": "cycle.without_rider",
    "pedestrian": "pedestrian.standing",
    "traffic_cone": "",
}

# Metres from the ego origin within which the official evaluation counts a class
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

# What BEV segmentation can tell apart. "vehicle" is every box whose category begins with it, as
# Lift-Splat-Shoot (Philion and Fidler 2020) has it: cycles and emergency vehicles too. The others
# are layers of nuScenes' map expansion; "divider" is its road_divider and lane_divider.
VEHICLE = "vehicle"
DIVIDER = "divider"
LAYERS = (
    VEHICLE,
    "drivable_area",
    DIVIDER,
    "ped_crossing",
    "walkway",
    "stop_line",
    "carpark_area",
    "lane",
    "road_segment",
)

"""JSON file of 3D boxes: output of ``bevlab detect``, and ground truth of a folder of images.

One file holds any number of frames; docs/detect.md describes every field::

    {"format": "bevlab-boxes-1",
     "units": {"length": "m", "angle": "rad", "velocity": "m/s", "time": "us"},
     "frame": "ego",
     "classes": ["car", "pedestrian"], "attributes": ["moving", "parked"],
     "info": {"model": "synthetic"},
     "frames": [
       {"token": "0001", "scene": "monday", "timestamp": 1532402927612460,
        "global_from_ego": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        "images": {"CAM_FRONT": "front/0001.jpg"},
        "boxes": [
          {"class": "car", "center": [x, y, z], "size": [length, width, height], "yaw": 0.1,
           "score": 0.8, "velocity": [vx, vy], "attribute": "moving", "track": "17"}]}]}

Boxes are in the frame's ego frame: x forward, y left, z up, origin on the ground below the rear
axle. ``yaw`` is counter-clockwise from x.
"""

from bev.data.boxes_file.content import BoxesFile, FrameBoxes
from bev.data.boxes_file.reading import read_boxes
from bev.data.boxes_file.writing import UNFINISHED, GrowingBoxes, to_json, write_boxes

__all__ = [
    "UNFINISHED",
    "BoxesFile",
    "FrameBoxes",
    "GrowingBoxes",
    "read_boxes",
    "to_json",
    "write_boxes",
]

"""Boxes of images in memory: a batch of two frames, read by OpenCV."""

from pathlib import Path

import cv2

from bev import load_detector
from bev.data.rig import load_rig

detector, rig = load_detector("synthetic"), load_rig(Path("rig.yaml"))
batch = [
    {name: cv2.imread(f"images/{name}/{moment}.jpg") for name in rig.names}
    for moment in ("0000", "0001")
]
for found in detector(batch, rig, channels="bgr"):
    print(found, found.boxes.center.shape)

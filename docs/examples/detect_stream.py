"""Boxes of a drive as it happens: a temporal model, the time and the pose of each frame."""

import csv
from pathlib import Path

from pyquaternion import Quaternion

from bev import load_detector
from bev.data.rig import load_rig

rig = load_rig(Path("rig.yaml"))
stream = load_detector("synthetic-temporal").stream()
with Path("poses.csv").open() as file:
    for row in csv.DictReader(file):
        pose = Quaternion(
            *(float(row[key]) for key in ("qw", "qx", "qy", "qz"))
        ).transformation_matrix
        pose[:3, 3] = [float(row[key]) for key in "xyz"]
        images = {name: f"images/{name}/{row['moment']}.jpg" for name in rig.names}
        found = stream(images, rig, time=float(row["seconds"]), pose=pose)
        print([(box.name, box.velocity) for box in found])

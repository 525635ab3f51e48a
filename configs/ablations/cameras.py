"""Cameras: the rig without one of its cameras, in training and evaluation.

Boxes that only the missing camera sees still count in the evaluation.
"""

from lss_synthetic import config as base

from bev.data.nuscenes.sensor_data import CAMERAS
from bev.lab.ablation import Study


def without(missing: str) -> str:
    return "--data.cameras " + " ".join(name for name in CAMERAS if name != missing)


study = Study(base, {"all": ""} | {f"without {name}": without(name) for name in CAMERAS})

"""Camera rigs of one's own: ``rig.yaml``, and frames from folders of images.

``docs/rigs.md`` describes the file.
"""

from bev.data.rig.frames import frames_of
from bev.data.rig.reading import load_rig
from bev.data.rig.rig import Distortion, PinholeView, Rig, RigCamera
from bev.data.rig.writing import save_rig

__all__ = [
    "Distortion",
    "PinholeView",
    "Rig",
    "RigCamera",
    "frames_of",
    "load_rig",
    "save_rig",
]

"""Boxes of a folder of images with a calibration file."""

from pathlib import Path

from bev import load_detector
from bev.data.rig import frames_of, load_rig
from bev.inference import detect_frames

detector = load_detector("synthetic")
frames = frames_of(load_rig(Path("rig.yaml")), Path("images"))
for found in detect_frames(detector, frames, score=0.3):
    print(found.token, found.classes)
    for box in found.of("car"):
        print(f"  car at x={box.center[0]:.1f} y={box.center[1]:.1f} m, score {box.score:.2f}")

"""Key frames as a plain folder: images, a rig file, poses and times; no tables."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from pyquaternion import Quaternion

from bev.data.frame import Frame
from bev.data.rig import Rig, RigCamera, save_rig


def write_folder(folder: Path, frames: Sequence[Frame]) -> Path:
    """Write ``images``, ``rig.yaml`` with the first frame's calibration, and ``poses.csv``."""
    for number, frame in enumerate(frames):
        for camera in frame.cameras:
            place = folder / "images" / camera.name / f"{number:04d}{camera.path.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(camera.path, place)
    save_rig(rig_of(frames[0]), folder / "rig.yaml")
    with (folder / "poses.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["moment", "x", "y", "z", "qw", "qx", "qy", "qz"])
        for number, frame in enumerate(frames):
            pose = frame.global_from_ego.numpy()
            turn = Quaternion(matrix=pose[:3, :3], rtol=1e-6, atol=1e-6).elements
            values = [*pose[:3, 3].tolist(), *turn.tolist()]
            rows.writerow([f"{number:04d}", *map(repr, values)])
    with (folder / "times.csv").open("w") as file:
        rows = csv.writer(file)
        rows.writerow(["moment", "microseconds"])
        rows.writerows([f"{number:04d}", frame.timestamp] for number, frame in enumerate(frames))
    return folder


def rig_of(frame: Frame) -> Rig:
    """Rig of a frame; its poses contain the motion between the cameras' times."""
    return Rig(
        tuple(
            RigCamera(
                c.name, c.intrinsics, c.ego_from_camera, c.size,
                images=f"{c.name}/*{c.path.suffix}",
            )
            for c in frame.cameras
        )
    )  # fmt: skip

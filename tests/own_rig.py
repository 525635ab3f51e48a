"""A folder of images with a rig, and boxes of its moments, made from a synthetic world."""

import shutil
from pathlib import Path

from bev.data.boxes_file import BoxesFile, FrameBoxes, write_boxes
from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.writing.tables import token
from bev.data.rig import Rig, RigCamera, save_rig

SAMPLE = token(5, "synthetic-val-0000", "sample", 0)
"""Token of a held-out sample of the fixture ``synthetic_world``."""


def write_drive(folder: Path, world: Path, boxes: Path) -> None:
    """Write ``rig.yaml`` and ``images/NAME/NNNN.jpg`` of the held-out scene, and its boxes."""
    from bev.data.nuscenes.frames import read_frames
    from bev.data.nuscenes.index_cache import open_index

    frames = read_frames(open_index(world, "v1.0-synthetic"), "synthetic_val")
    rows = []
    for number, frame in enumerate(frames):
        name = f"{number:04d}"
        for camera in frame.cameras:
            path = folder / "images" / camera.name / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(camera.path, path)
        tracks = tuple(map(str, frame.instances.tolist())) if frame.instances is not None else ()
        rows.append(FrameBoxes(name, frame.boxes, tracks=tracks))
    cameras = [
        RigCamera(c.name, c.intrinsics, c.ego_from_camera, c.size, images=f"{c.name}/*.jpg")
        for c in frames[0].cameras
    ]
    save_rig(Rig(tuple(cameras)), folder / "rig.yaml")
    content = BoxesFile(tuple(rows), NUSCENES.names, NUSCENES.attributes)
    write_boxes(boxes, content)

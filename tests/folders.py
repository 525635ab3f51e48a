"""Folders of one's own: a small one by hand, and a world in nuScenes' format as one."""

import json
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

from bev.data.boxes_file import BoxesFile, FrameBoxes, write_boxes
from bev.data.nuscenes.boxes import pose_matrix
from bev.data.nuscenes.classes import NUSCENES
from bev.data.rig import Rig, RigCamera, save_rig
from bev.data.source import Frames
from bev.geometry import Boxes3D

SEQUENCES = {"train": ["monday", "tuesday"], "val": ["wednesday"]}
CLASSES = ("pallet", "forklift")


def small_folder(root: Path) -> Path:
    """Write two cameras, three sequences of two moments, and a box ahead that drives at 2 m/s.

    The vehicle stands still. ``detected/boxes.json`` has the same boxes with scores 0.9 and 0.2.
    """
    turn = {"front": [0, 0, 1, -1, 0, 0, 0, -1, 0], "rear": [0, 0, -1, 1, 0, 0, 0, -1, 0]}
    cameras = []
    for name, numbers in turn.items():
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = torch.tensor(numbers, dtype=torch.float64).reshape(3, 3)
        pose[2, 3] = 1.2
        matrix = torch.tensor([[90.0, 0, 96], [0, 90, 60], [0, 0, 1]], dtype=torch.float64)
        cameras.append(RigCamera(name, matrix, pose, (120, 192), images=f"{name}/*.png"))
    for sequence in sum(SEQUENCES.values(), []):
        entries: dict[str, list[FrameBoxes]] = {"boxes": [], "detected/boxes": []}
        for moment in range(2):
            for camera in turn:
                image = np.full((120, 192, 3), 60 + 40 * moment, np.uint8)
                image[:60] = 30 + len(entries["boxes"])
                file = root / sequence / camera / f"{moment:04d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), image)
            boxes = Boxes3D.make(
                torch.tensor([[6.0 + moment, 0.5, 0.5], [-5.0, 1.0, 1.1]]),
                torch.tensor([[1.2, 0.8, 1.0], [2.5, 1.2, 2.2]]),
                torch.tensor([0.1, -0.4]),
                label=torch.tensor([0, 1]),
            )
            scored = replace(boxes, score=torch.tensor([0.9, 0.2]))
            for name, some in (("boxes", boxes), ("detected/boxes", scored)):
                entries[name].append(FrameBoxes(f"{moment:04d}", some, sequence, tracks=("a", "b")))
        for name, frames in entries.items():
            write_boxes(root / sequence / f"{name}.json", BoxesFile(tuple(frames), CLASSES))
    save_rig(Rig(tuple(cameras)), root / "rig.yaml")
    description = {"classes": [*CLASSES], "splits": SEQUENCES}
    (root / "folder.yaml").write_text(yaml.safe_dump(description))
    return root


def write_folder(root: Path, world: Path, splits: dict[str, Frames]) -> Path:
    """Write all frames of splits; images are links.

    Args:
        root: folder to write.
        world: folder of the tables, ``v1.0-synthetic``.
        splits: key frames by name.
    """
    tables = {
        name: json.loads((world / f"{name}.json").read_text())
        for name in ("sample_data", "ego_pose", "calibrated_sensor")
    }
    rows = {(world.parent / row["filename"]).resolve(): row for row in tables["sample_data"]}
    poses, mounted = (
        {row["token"]: row for row in tables[n]} for n in ("ego_pose", "calibrated_sensor")
    )
    sequences: dict[str, list] = defaultdict(list)
    for frames in splits.values():
        for frame in frames:
            sequences[frame.scene].append(frame)
    for name, frames in sequences.items():
        folder, entries, times = root / name, [], ["microseconds,x,y,z,qw,qx,qy,qz"]
        for frame in frames:
            for camera in frame.cameras:
                row = rows[camera.path.resolve()]
                link = folder / camera.name / f"{row['timestamp']}.jpg"
                link.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(camera.path.resolve(), link)
                pose = poses[row["ego_pose_token"]]
                numbers = (row["timestamp"], *pose["translation"], *pose["rotation"])
                times.append(",".join(map(repr, numbers)))
            first = rows[frame.cameras[0].path.resolve()]["timestamp"]
            tracks = tuple(map(str, frame.instances.tolist()))
            entries.append(
                FrameBoxes(
                    str(first), frame.boxes, name, frame.timestamp, frame.global_from_ego, tracks
                )
            )
        (folder / "poses.csv").write_text("\n".join(times))
        found = [rows[camera.path.resolve()] for camera in frames[0].cameras]
        own = [mounted[row["calibrated_sensor_token"]] for row in found]
        cameras = [
            RigCamera(
                camera.name, camera.intrinsics,
                torch.from_numpy(pose_matrix(row["translation"], row["rotation"])),
                camera.size, images=f"{camera.name}/{{microseconds}}.jpg",
            )
            for camera, row in zip(frames[0].cameras, own, strict=True)
        ]  # fmt: skip
        save_rig(Rig(tuple(cameras)), folder / "rig.yaml")
        content = BoxesFile(tuple(entries), NUSCENES.names, NUSCENES.attributes)
        write_boxes(folder / "boxes.json", content)
    save_rig(Rig(tuple(cameras)), root / "rig.yaml")
    classes = [{"name": one.name, "attributes": list(one.attributes)} for one in NUSCENES.classes]
    named = {split: sorted({f.scene for f in frames}) for split, frames in splits.items()}
    (root / "folder.yaml").write_text(yaml.safe_dump({"classes": classes, "splits": named}))
    return root

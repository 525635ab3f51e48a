"""Images of a rig, with their boxes, as data in nuScenes' format."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pyquaternion import Quaternion
from torch import Tensor

from bev.data.boxes_file import BoxesFile, FrameBoxes
from bev.data.boxes_file.reference import partly_stated, referred, same_times
from bev.data.frame import CameraFrame, Frame
from bev.data.images.loading import load_image
from bev.data.nuscenes.writing.tables import (
    CATEGORIES,
    TABLES,
    links,
    place_rows,
    shared_rows,
    token,
    write_map_mask,
    write_tables,
)
from bev.data.rig.frames import size_faults
from bev.data.rig.moments import Moment
from bev.data.rig.rig import Rig
from bev.errors import DataError
from bev.geometry import KannalaBrandt, inverse_rigid, rotation_z
from bev.paths import file_name

MAP_FILE = "maps/empty.png"
_QUALITY = 95  # of JPEG files without distortion


def export_nuscenes(
    rig: Rig,
    pairs: Sequence[tuple[Moment, Frame]],
    out: Path,
    version: str,
    boxes: BoxesFile | None = None,
    least_score: float = 0.0,
    val: Sequence[str] = (),
    poses: Path | None = None,
) -> Path:
    """Write a data root in nuScenes' format; it is complete, or not there at all.

    Files with distortion are written without it, as JPEG; others are copied. A box has one lidar
    point, so that it counts. Times and poses that the boxes state are those of their samples, as in
    a folder of images (:mod:`bev.data.boxes_file.reference`).

    Args:
        rig: the cameras.
        pairs: each moment, images and their times, with its frame.
        out: data root, which must not exist or be an empty folder.
        version: name of the tables' folder.
        boxes: boxes of frames, by their tokens; other frames have none. If times or poses are from
            here alone, all frames of a sequence are listed.
        least_score: boxes with a lower score are left out.
        val: sequences of the split ``rig_val``; the others form ``rig_train``. Without any, all
            form ``rig_all``.
        poses: table that the frames' poses are from, if they have any.

    Raises:
        DataError: if the folder is not empty, boxes are of an unknown frame or apart from their
            images in time or space, a sequence is unknown or none is left for training, an image
            cannot be used or has another size than its camera, or a kept lens is no fisheye.
    """
    out = out.resolve()  # the folder that a link names
    frames = [frame for _, frame in pairs]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} exists and is not an empty folder; give another one.")
    known = {frame.token for frame in frames}
    for entry in boxes.frames if boxes is not None else ():
        if entry.token not in known:
            raise DataError(
                f"The boxes have frame {entry.token!r}, and the images have none of this name;"
                f" their first is {frames[0].token!r}."
            )
    for fault in size_faults(frames):
        raise fault
    scenes = list(dict.fromkeys(frame.scene for frame in frames))
    for name in val:
        if name not in scenes:
            raise DataError(f"There is no sequence {name!r}; there are {', '.join(scenes[:5])}.")
    splits = {"rig_all": scenes}
    if val:
        train = [scene for scene in scenes if scene not in val]
        if not train:
            raise DataError("All sequences are of rig_val, none is left for rig_train; name fewer.")
        splits = {"rig_train": train, "rig_val": list(dict.fromkeys(val))}
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        (partial / version).mkdir(parents=True)
        (partial / "sweeps").mkdir()
        write_map_mask(partial / MAP_FILE)
        writer = _Writer(rig, partial, boxes, least_score)
        parts = [writer.shared()]
        for scene in scenes:
            own = [pair for pair in pairs if pair[1].scene == scene]
            parts.append(
                writer.scene(scene, own if boxes is None else _referred(own, boxes, poses))
            )
        write_tables(partial / version, parts, splits)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _referred(
    pairs: Sequence[tuple[Moment, Frame]], boxes: BoxesFile, poses: Path | None
) -> list[tuple[Moment, Frame]]:
    """Moments of one sequence, at the times and in the ego frames that their boxes state."""
    by_token = {entry.token: entry for entry in boxes.frames}
    entries = {frame.token: by_token.get(frame.token) for _, frame in pairs}
    timed = any(moment.times for moment, _ in pairs)
    if fault := partly_stated(entries, timed, poses, "The file of boxes"):
        raise fault
    moved = []
    for moment, frame in pairs:
        if entry := entries[frame.token]:
            where = f"The file of boxes, frame {frame.token[:100]!r}"
            frame = referred(frame, entry, timed, poses, where)
        moved.append((moment, frame))
    moved.sort(key=lambda pair: pair[1].timestamp)
    if fault := same_times([frame for _, frame in moved], "The file of boxes"):
        raise fault
    return moved


class _Writer:
    """Rows and images of scenes."""

    def __init__(self, rig: Rig, root: Path, boxes: BoxesFile | None, least_score: float) -> None:
        self.rig, self.root, self.least_score = rig, root, least_score
        self.classes = boxes.classes if boxes is not None else ()
        self.attributes = boxes.attributes if boxes is not None else ()
        self.boxes = {entry.token: entry for entry in boxes.frames} if boxes is not None else {}

    def shared(self) -> dict[str, list[dict]]:
        categories = dict.fromkeys(CATEGORIES.get(name, name) for name in self.classes)
        return shared_rows(categories, self.attributes, dict.fromkeys(self.rig.names, "camera"))

    def scene(self, name: str, pairs: Sequence[tuple[Moment, Frame]]) -> dict[str, list[dict]]:
        rows: dict[str, list[dict]] = {table: [] for table in TABLES}
        samples = [token("sample", name, frame.token) for _, frame in pairs]
        first, last = samples[0], samples[-1]
        row: dict[str, Any] = {"token": token("scene", name), "log_token": token("log", name)}
        row |= {"name": name}
        row |= {"nbr_samples": len(samples), "description": ""}
        rows["scene"].append(row | {"first_sample_token": first, "last_sample_token": last})
        tokens = token("log", name), token("map", name)
        rows |= place_rows(tokens, name, "unknown", "rig", "1970-01-01", MAP_FILE)
        for place, (sample, (_, frame)) in enumerate(zip(samples, pairs, strict=True)):
            row = {"token": sample, "timestamp": frame.timestamp, **links(samples, place)}
            rows["sample"].append(row | {"scene_token": token("scene", name)})
        for camera in self.rig.cameras:
            taken = [
                (sample, moment, frame, entry)
                for sample, (moment, frame) in zip(samples, pairs, strict=True)
                for entry in frame.cameras
                if entry.name == camera.name
            ]
            if taken:
                mounting = token("calibrated", name, camera.name)
                pose = camera.ego_from_camera
                rows["calibrated_sensor"].append(_mounting(mounting, taken[0][3], pose))
            records = [token("data", sample, camera.name) for sample, *_ in taken]
            for place, (sample, moment, frame, entry) in enumerate(taken):
                time = moment.times.get(camera.name, frame.timestamp)
                pose = frame.global_from_ego
                if not torch.equal(entry.ego_from_camera, camera.ego_from_camera):
                    own = entry.ego_from_camera @ inverse_rigid(camera.ego_from_camera)
                    pose = frame.global_from_ego @ own
                record = records[place]
                rows["ego_pose"].append({"token": record, "timestamp": time, **_pose(pose)})
                rows["sample_data"].append(
                    {
                        "token": record,
                        "sample_token": sample,
                        "ego_pose_token": record,
                        "calibrated_sensor_token": mounting,
                        "timestamp": time,
                        "is_key_frame": True,
                        "height": entry.size[0],
                        "width": entry.size[1],
                        **self._image(entry, name, time),
                        **links(records, place),
                    }
                )
        self._annotations(rows, name, list(zip(samples, (f for _, f in pairs), strict=True)))
        return rows

    def _image(self, camera: CameraFrame, scene: str, time: int) -> dict[str, str]:
        """Write an image; returns its name and format."""
        suffix = camera.path.suffix.lower() if camera.stored is None else ".jpg"
        name = f"{file_name(scene)}__{file_name(camera.name)}__{time}{suffix}"
        below = Path("samples") / file_name(camera.name) / name
        path = self.root / below
        path.parent.mkdir(parents=True, exist_ok=True)
        if camera.stored is None:
            shutil.copyfile(camera.path, path)
        else:
            from PIL import Image

            pixels = load_image(camera, torch.eye(3, dtype=torch.float64), camera.size)
            image = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
            image.save(path, quality=_QUALITY, subsampling=0)
        return {"filename": below.as_posix(), "fileformat": suffix[1:]}

    def _annotations(
        self, rows: dict[str, list[dict]], scene: str, frames: Sequence[tuple[str, Frame]]
    ) -> None:
        """Add boxes; those of one track form a chain."""
        chains: dict[str, list[tuple[str, Frame, FrameBoxes, int]]] = {}
        for sample, frame in frames:
            entry = self.boxes.get(frame.token)
            for box in range(len(entry.boxes)) if entry is not None else ():
                if entry is None or float(entry.boxes.score[box]) < self.least_score:
                    continue
                track = entry.tracks[box] if entry.tracks else ""
                label = int(entry.boxes.label[box])
                key = f"track {track} {label}" if track else f"box {sample} {box}"
                chains.setdefault(key, []).append((sample, frame, entry, box))
        for key, chain in chains.items():
            instance = token("instance", scene, key)
            tokens = [token("annotation", instance, sample) for sample, *_ in chain]
            label = int(chain[0][2].boxes.label[chain[0][3]])
            name = self.classes[label]
            rows["instance"].append(
                {
                    "token": instance,
                    "category_token": token("category", CATEGORIES.get(name, name)),
                    "nbr_annotations": len(tokens),
                    "first_annotation_token": tokens[0],
                    "last_annotation_token": tokens[-1],
                }
            )
            for place, (sample, frame, entry, box) in enumerate(chain):
                own = {"sample_token": sample, "instance_token": instance}
                rows["sample_annotation"].append(
                    {
                        "token": tokens[place],
                        **own,
                        **self._box(frame, entry, box),
                        **links(tokens, place),
                    }
                )

    def _box(self, frame: Frame, entry: FrameBoxes, box: int) -> dict:
        boxes = entry.boxes
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = rotation_z(boxes.yaw[box].double())
        pose[:3, 3] = boxes.center[box].double()
        length, width, height = boxes.size[box].double().tolist()
        attribute = int(boxes.attribute[box])
        named = [token("attribute", self.attributes[attribute])] if attribute >= 0 else []
        return {
            **_pose(frame.global_from_ego @ pose),
            "size": [width, length, height],
            "attribute_tokens": named,
            "visibility_token": "",
            "num_lidar_pts": 1,
            "num_radar_pts": 0,
        }


def _mounting(own: str, camera: CameraFrame, pose: Float[Tensor, "4 4"]) -> dict:
    row: dict[str, Any] = {
        "token": own,
        "sensor_token": token("sensor", camera.name),
        "camera_intrinsic": camera.intrinsics.tolist(),
        **_pose(pose),
    }
    lens = camera.lens
    if isinstance(lens, KannalaBrandt):
        row["camera_model"] = "fisheye"
        row["camera_distortion"] = lens.coefficients.tolist()
        row["camera_max_angle"] = lens.max_angle.item()
    elif not lens.straight:
        raise DataError(
            f"Camera {camera.name} keeps a lens that nuScenes' format has no fields for; remove"
            " keep_lens from the rig."
        )
    return row


def _pose(matrix: Float[Tensor, "4 4"]) -> Mapping[str, list[float]]:
    rotation = Quaternion(matrix=matrix[:3, :3].numpy(), rtol=1e-2, atol=1e-2).normalised
    return {"translation": matrix[:3, 3].tolist(), "rotation": rotation.elements.tolist()}

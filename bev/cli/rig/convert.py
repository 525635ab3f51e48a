"""``bevlab rig from-nuscenes`` and ``bevlab rig export-nuscenes``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from bev.bounds import Positive, Probability
from bev.errors import ConfigError, DataError, count_of
from bev.paths import file_name


@dataclass(frozen=True)
class FromNuScenes:
    """Write the rig of a nuScenes sample.

    Attributes:
        root: data root of nuScenes, or of data in its format.
        sample: token of the sample.
        out: rig file to write.
        overwrite: write over a file of that name.
        version: version of the tables; may be omitted if there is one.
        motion: include the motion of the vehicle between the cameras' times in ego_from_camera.
            The rig is then of this sample alone, and names its images. Switch it off for a rig that
            is used with times and poses, which give the motion; its patterns match all images.
    """

    root: tyro.conf.Positional[Path]
    sample: tyro.conf.Positional[str]
    out: Path = Path("rig.yaml")
    overwrite: bool = False
    version: str = ""
    motion: bool = True


def write_rig(command: FromNuScenes) -> None:
    """Write the rig file and print its name."""
    from bev.data.checks.check import versions_in
    from bev.data.nuscenes.index_cache import open_index
    from bev.data.nuscenes.rigs.of_sample import rig_of_sample
    from bev.data.rig import save_rig

    if command.out.exists() and not command.overwrite:
        raise ConfigError(
            f"{command.out} exists already; choose another file by --out, or write over it by"
            " --overwrite."
        )
    version = command.version
    if not version:
        versions, _ = versions_in(command.root)
        if len(versions) != 1:
            raise DataError(
                f"{command.root} has the versions {', '.join(versions)}; choose one by --version."
            )
        version = versions[0]
    rig = rig_of_sample(open_index(command.root, version), command.sample, command.motion)
    comment = f"Cameras of sample {command.sample} of {version}"
    comment += (
        ",\nwith the motion of the vehicle between their times in ego_from_camera: for these"
        " images alone."
        if command.motion
        else ";\nego_from_camera is their pose on the vehicle. For images of this log: others may"
        " have other calibrations."
    )
    print(f"{count_of(len(rig.cameras), 'camera')} in {save_rig(rig, command.out, comment)}")


@dataclass(frozen=True)
class ExportNuScenes:
    """Write a folder of images, and their boxes, as data in nuScenes' format.

    Attributes:
        rig: rig file.
        images: folder of the images.
        out: data root to write, a new or empty folder.
        version: name of the tables' folder.
        boxes: file of boxes, whose tokens are those of the moments.
        score: boxes with a lower score are left out.
        val: sequences of the split "rig_val"; the others form "rig_train". Without any, all
            sequences form the split "rig_all".
        poses: CSV or JSON file with poses of the vehicle.
        times: CSV or JSON file with the times of the images.
        interval: seconds between moments, where images have no times.
    """

    rig: tyro.conf.Positional[Path]
    images: Path
    out: Path
    version: str = "v1.0-rig"
    boxes: Path | None = None
    score: Probability = 0.0
    val: tuple[str, ...] = ()
    poses: Path | None = None
    times: Path | None = None
    interval: Positive = 0.5


def export(command: ExportNuScenes) -> None:
    """Write the data root and print its name."""
    from bev.data.boxes_file import read_boxes
    from bev.data.nuscenes.writing.export import export_nuscenes
    from bev.data.rig import load_rig
    from bev.data.rig.frames import frames_by_moment

    if command.version != file_name(command.version):
        raise ConfigError(f"--version {command.version!r} is no name of a folder; give another.")
    rig = load_rig(command.rig)
    pairs = frames_by_moment(
        rig, command.images, command.poses, command.times, interval=command.interval
    )
    boxes = None if command.boxes is None else read_boxes(command.boxes)
    if command.poses is None:
        posed = boxes is not None and any(e.global_from_ego is not None for e in boxes.frames)
        of = "poses are those of the boxes" if posed else "the vehicle is taken to stand still"
        print(f"no --poses: {of}")
    root = export_nuscenes(
        rig,
        pairs,
        command.out,
        command.version,
        boxes=boxes,
        least_score=command.score,
        val=command.val,
        poses=command.poses,
    )
    scenes = count_of(len({frame.scene for _, frame in pairs}), "scene")
    print(f"{count_of(len(pairs), 'sample')} of {scenes} in {root}, version {command.version}")


KINDS: dict[str, tuple[type, Callable[[Any], None]]] = {
    "from-nuscenes": (FromNuScenes, write_rig),
    "export-nuscenes": (ExportNuScenes, export),
}

"""Frames from a rig, a folder of images, and, if known, times and poses."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.frame import CameraFrame, Frame
from bev.data.images.loading import check_size, naming, stated_size
from bev.data.rig.moments import Moment, find_moments, read_times
from bev.data.rig.poses import Poses, read_poses
from bev.data.rig.rig import Rig, RigCamera
from bev.errors import DataError
from bev.geometry import inverse_rigid

INTERVAL = 0.5
"""Seconds that are assumed between moments without times; the key frames of nuScenes."""


def frames_of(
    rig: Rig,
    images: Path,
    poses: Path | None = None,
    times: Path | None = None,
    *,
    interval: float = INTERVAL,
    missing: Literal["error", "skip"] = "error",
) -> list[Frame]:
    """Frames of a folder of images, in order of sequence and time.

    The size of the first image of each camera is compared with the rig, that of the others when
    they are loaded, or by :func:`size_faults`.

    The ego frame of a moment is that of the time of its first camera's image; poses give the motion
    up to the times of the others. Without poses the vehicle is taken to stand still.

    Args:
        rig: cameras, with patterns of their images.
        images: folder of the images.
        poses: CSV or JSON file of poses, see :func:`bev.data.rig.poses.read_poses`.
        times: CSV or JSON file of the images' times, see :func:`bev.data.rig.moments.read_times`;
            by default the times in the files' names, or else those of poses that name moments.
        interval: seconds between the moments of a sequence, where images have no times.
        missing: "skip" leaves a missing camera out of a frame; otherwise it is an error.

    Returns:
        A frame for each moment. The token is the name of the moment, after that of its sequence
        and a slash if there are sequences; the scene is the sequence.

    Raises:
        DataError: if an image is missing or has another size than the rig states, or a time or a
            pose is missing; names the camera and the moment.
    """
    pairs = frames_by_moment(rig, images, poses, times, interval=interval, missing=missing)
    return [frame for _, frame in pairs]


def frames_by_moment(
    rig: Rig,
    images: Path,
    poses: Path | None = None,
    times: Path | None = None,
    *,
    interval: float = INTERVAL,
    missing: Literal["error", "skip"] = "error",
) -> list[tuple[Moment, Frame]]:
    """Each moment with its frame; see :func:`frames_of`."""
    images = Path(images)
    known = None if poses is None else read_poses(Path(poses))
    moments = find_moments(
        rig,
        images,
        None if times is None else read_times(Path(times)),
        missing,
        otherwise=None if known is None else known.times_of_moments,
    )
    cameras = {camera.name: camera for camera in rig.cameras}
    sizes: dict[str, tuple[int, int]] = {}
    pairs, places = [], dict.fromkeys((moment.sequence for moment in moments), 0)
    for moment in moments:
        place = places[moment.sequence]
        places[moment.sequence] += 1
        for name, path in moment.images.items():
            if name not in sizes:
                sizes[name] = _size(name, path, cameras[name].size)
        assumed = round(place * interval * 1e6)
        pairs.append((moment, _frame(moment, cameras, sizes, known, assumed, images)))
    return pairs


def size_faults(frames: Iterable[Frame]) -> Iterator[DataError]:
    """Errors on images that cannot be read or have another size than their cameras.

    The header of each file is read.
    """
    for frame in frames:
        for camera in frame.cameras:
            try:
                _size(camera.name, camera.path, camera.file_size)
            except DataError as error:
                yield error


def _frame(
    moment: Moment,
    cameras: dict[str, RigCamera],
    sizes: dict[str, tuple[int, int]],
    poses: Poses | None,
    assumed: int,
    folder: Path,
) -> Frame:
    name = moment.name or "image"
    time = next(iter(moment.times.values()), assumed)
    global_from_ego: Float[Tensor, "4 4"] = torch.eye(4, dtype=torch.float64)
    own: dict[str, Tensor] = {}
    if poses is not None and poses.by_moment:
        global_from_ego = poses.of_moment(moment.sequence, moment.name)
    elif poses is not None:
        if not moment.times:
            raise DataError(
                f"Poses {poses.path} have times, and the images of {moment} have none; write"
                " {microseconds} or another unit in the pattern of the images, give times, or name"
                " the moment of each pose."
            )
        trajectory = poses.of_sequence(moment.sequence)
        at = {
            camera: trajectory.at(taken, f"The image {moment.images[camera]} of camera {camera}")
            for camera, taken in moment.times.items()
        }
        global_from_ego = next(iter(at.values()))
        ego_from_global = inverse_rigid(global_from_ego)
        own = {
            camera: ego_from_global @ pose @ cameras[camera].ego_from_camera
            for camera, pose in at.items()
            if moment.times[camera] != time
        }
    entries: list[CameraFrame] = [
        cameras[camera].frame(path, sizes[camera], own.get(camera))
        for camera, path in moment.images.items()
    ]
    return Frame(
        token=f"{moment.sequence}/{name}" if moment.sequence else name,
        cameras=tuple(entries),
        # A link has its own name here.
        scene=moment.sequence or Path(os.path.abspath(folder)).name or "images",
        timestamp=time,
        global_from_ego=global_from_ego,
    )


def _size(camera: str, path: Path, expected: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) of an image file, which is the expected one if that is known."""
    with naming(camera):
        found = stated_size(path)
        check_size(path, found, expected)
    return found

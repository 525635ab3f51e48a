"""Time and ego frame of boxes: those that their file states, or else those of the images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from bev.data.boxes_file.content import FrameBoxes
from bev.data.frame import Frame
from bev.errors import DataError
from bev.geometry import inverse_rigid

_APART = 10.0  # metres between the ego frame of boxes and that of the images, at 100 m/s for 0.1 s
_LATE = 1_000_000  # microseconds between the time of boxes and that of the images


def partly_stated(
    entries: Mapping[str, FrameBoxes | None], timed: bool, poses: Path | None, where: str
) -> DataError | None:
    """Error on a frame without time or pose among others with one: they have no common reference.

    Args:
        entries: boxes of the frames of one sequence, by the name of the frame; None without boxes.
        timed: whether the images have times.
        poses: table of the images' poses, if there is one.
        where: beginning of the message.
    """
    for name, known in (("timestamp", timed), ("global_from_ego", poses is not None)):
        lacks = [
            token
            for token, entry in entries.items()
            if entry is None or getattr(entry, name) is None
        ]
        if known or not 0 < len(lacks) < len(entries):
            continue
        if entries[lacks[0]] is None:
            return DataError(
                f"{where} does not list frame {lacks[0][:100]!r}, whose images have no {name}, but"
                f" others have one; list it with its {name} and 'boxes': []."
            )
        return DataError(
            f"{where}, frame {lacks[0][:100]!r} has no {name}, but others have; add it, or remove"
            " all of them."
        )
    return None


def same_times(frames: Sequence[Frame], where: str) -> DataError | None:
    """Error on two frames of one time, in frames of one sequence in order of time.

    Args:
        frames: frames in order of time.
        where: beginning of the message.
    """
    for before, after in pairwise(frames):
        if before.timestamp == after.timestamp:
            return DataError(
                f"{where}, frames {before.token[:100]!r} and {after.token[:100]!r} have the same"
                f" time, {after.timestamp} microseconds; correct one of the two."
            )
    return None


def referred(frame: Frame, entry: FrameBoxes, timed: bool, poses: Path | None, where: str) -> Frame:
    """The frame at the time and in the ego frame that its boxes state; its images stay in place.

    Args:
        frame: frame of the images.
        entry: its boxes.
        timed: whether the images have times; otherwise those of ``frame`` are assumed.
        poses: table of the images' poses, if there is one.
        where: beginning of messages.

    Raises:
        DataError: if boxes and images are more than a second or ten metres apart.
    """
    if entry.timestamp is not None:
        if timed and abs(entry.timestamp - frame.timestamp) > _LATE:
            raise DataError(
                f"{where} has the timestamp {entry.timestamp}, but its images are of"
                f" {frame.timestamp} microseconds; correct one of the two."
            )
        frame = replace(frame, timestamp=entry.timestamp)
    pose = entry.global_from_ego
    if pose is None:
        return frame
    if poses is None:  # the images have no pose of their own
        return replace(frame, global_from_ego=pose)
    ego_from_before = inverse_rigid(pose) @ frame.global_from_ego
    apart = float(ego_from_before[:3, 3].norm())
    if apart > _APART:
        raise DataError(
            f"{where}: its global_from_ego is {apart:.3g} m from that of {poses.name} at the time"
            " of the images; correct one of the two."
        )
    cameras = tuple(
        replace(camera, ego_from_camera=ego_from_before @ camera.ego_from_camera)
        for camera in frame.cameras
    )
    return replace(frame, global_from_ego=pose, cameras=cameras)

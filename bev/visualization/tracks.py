"""Tracks: the past positions of tracked objects."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.frame import Frame
from bev.data.source import Frames
from bev.geometry import apply_transform, inverse_rigid


class Track(NamedTuple):
    """Positions of one object over time.

    Attributes:
        points: (T, 2) centres in the reference ego frame of the last time, oldest first, metres.
        label: index into the label space's classes.
    """

    points: Float[Tensor, "T 2"]
    label: int


def tracks_of(frame: Frame, earlier: Sequence[Frame], min_points: int = 1) -> list[Track]:
    """Tracks of the ground-truth boxes of a frame that earlier frames contain too.

    Args:
        frame: frame to draw.
        earlier: frames before it in its scene, in order of time.
        min_points: boxes with fewer lidar and radar points in ``frame`` have no track.

    Returns:
        One track for each such box; none if the data source has no identities of objects
        (``Frame.instances``).
    """
    if frame.instances is None:
        return []
    positions: dict[int, list[Tensor]] = {}
    ego_from_global = inverse_rigid(frame.global_from_ego)
    for other in (*earlier, frame):
        if other.instances is None:
            continue
        moved = apply_transform(
            ego_from_global @ other.global_from_ego, other.boxes.center.double()
        )
        for instance, center in zip(other.instances.tolist(), moved[:, :2], strict=True):
            positions.setdefault(instance, []).append(center)
    counted = frame.counted(min_points)
    return [
        Track(torch.stack(positions[instance]), label)
        for instance, label in zip(
            frame.instances[counted].tolist(), frame.boxes.label[counted].tolist(), strict=True
        )
        if len(positions[instance]) > 1
    ]


def earlier_frames(frames: Frames, place: int, seconds: float) -> list[Frame]:
    """Frames of the same scene that precede one by at most some seconds, in order of time.

    Args:
        frames: key frames of a split.
        place: index of the frame.
        seconds: longest time before it.
    """
    found: list[Frame] = []
    if seconds <= 0:
        return found
    begin, scene = frames[place].timestamp - seconds * 1e6, frames.scene
    for other in range(place - 1, -1, -1):
        if scene[other] != scene[place]:
            break
        frame = frames[other]
        if frame.timestamp < begin:
            break
        found.insert(0, frame)
    return found

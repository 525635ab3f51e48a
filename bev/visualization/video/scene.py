"""The frames of one scene, at the rate of key frames or of sweeps."""

import difflib
from collections.abc import Iterator
from typing import Literal

import numpy as np

from bev.data.frame import Frame
from bev.data.source import Frames
from bev.errors import DataError
from bev.visualization.video.interpolation import frame_between

Rate = Literal["key_frames", "sweeps"]


def scene_of(frames: Frames, name: str = "") -> Frames:
    """Key frames of one scene.

    Args:
        frames: key frames of a split.
        name: name of the scene; empty for the first one.

    Raises:
        DataError: if there is no such scene; names the nearest.
    """
    scenes = frames.scenes
    if not name:
        name = scenes[0]
    if name not in scenes:
        nearest = difflib.get_close_matches(name, dict.fromkeys(scenes), 3, 0.0)
        raise DataError(f"The split has no scene {name!r}; the nearest are {', '.join(nearest)}.")
    return frames.take(np.flatnonzero(np.array(scenes) == name))


def scene_frames(scene: Frames, rate: Rate = "key_frames") -> Iterator[Frame]:
    """Frames of a scene in order of time; at the rate of sweeps with interpolated ground truth.

    Args:
        scene: key frames of one scene.
        rate: "key_frames", or "sweeps" for the images between them too.

    Raises:
        DataError: if there are no images between the key frames.
    """
    previous, found = None, rate == "key_frames" or len(scene) < 2
    for index in range(len(scene)):
        frame = scene[index]
        if previous is not None and rate == "sweeps":
            for other in scene.sweeps(index - 1):
                found = True
                yield frame_between(previous, frame, other)
            if not found and index == len(scene) - 1:
                raise DataError(
                    f"Scene {frame.scene} has no images between its key frames; draw it at the rate"
                    " of key frames (--rate key_frames)."
                )
        yield frame
        previous = frame


def frames_per_second(scene: Frames, rate: Rate = "key_frames") -> float:
    """Pictures per second at which a scene plays as fast as it was recorded; 2 if it is unknown."""
    if len(scene) < 2:
        return 2.0
    seconds = (scene[len(scene) - 1].timestamp - scene[0].timestamp) * 1e-6
    between = len(scene.sweeps(0)) if rate == "sweeps" else 0
    pictures = (len(scene) - 1) * (1 + between)
    return round(pictures / seconds, 3) if seconds > 0 else 2.0

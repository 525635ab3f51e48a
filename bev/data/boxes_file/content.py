"""Content of a file of boxes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float
from torch import Tensor

from bev.geometry import Boxes3D

FORMAT = "bevlab-boxes-1"
UNITS = {"length": "m", "angle": "rad", "velocity": "m/s", "time": "us"}
FRAME = "ego"


@dataclass(frozen=True)
class FrameBoxes:
    """The boxes of one frame.

    Attributes:
        token: name of the frame, unique in the file; the sample token in nuScenes.
        boxes: boxes in the ego frame of this moment; ``label`` and ``attribute`` are indices into
            the file's classes and attributes. Visibilities are not stored.
        scene: name of the sequence that the frame belongs to; empty if it stands alone.
        timestamp: microseconds; None if unknown.
        global_from_ego: (4, 4) float64, pose of the ego vehicle; None if unknown.
        tracks: name of the tracked object of each box, the same in all frames of a scene and empty
            where unknown; an empty tuple if all are unknown.
        images: image file of each camera, as it was named to the program that wrote the file.
    """

    token: str
    boxes: Boxes3D
    scene: str = ""
    timestamp: int | None = None
    global_from_ego: Float[Tensor, "4 4"] | None = None
    tracks: tuple[str, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BoxesFile:
    """The boxes of any number of frames, with the names of their classes.

    Attributes:
        frames: frames, those of a scene in order of time.
        classes: names of the classes.
        attributes: names of the attributes.
        info: plain data about the origin of the boxes, such as the model; not interpreted.
    """

    frames: tuple[FrameBoxes, ...]
    classes: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)

"""Columns of the ground truth and the cameras of frames that are read once."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool, Int

from bev.data.checks.plausible import BoxFacts, CameraFacts
from bev.data.checks.tally import Tally, too_few_points
from bev.data.frame import Frame

_MANY = np.iinfo(np.int64).max  # points of a box whose number of points is unknown
Part = TypeVar("Part", BoxFacts, CameraFacts)


class FrameFacts(NamedTuple):
    """Columns of one frame.

    Attributes:
        position: (3,) of the ego vehicle in the global frame, metres.
        cameras: calibrations.
        boxes: ground truth.
        points: (M,) number of lidar and radar points on each box.
    """

    position: np.ndarray
    cameras: CameraFacts
    boxes: BoxFacts
    points: np.ndarray

    @classmethod
    def of(cls, frame: Frame, names: Collection[str]) -> "FrameFacts":
        """Columns of a frame, with its cameras that have one of the names."""
        points, count = frame.num_points, len(frame.boxes)
        known = np.full(count, _MANY) if points is None else points.numpy().astype(np.int64)
        position = frame.global_from_ego[:3, 3].numpy()
        return cls(position, camera_facts(frame, names), _boxes(frame), known)


class FrameColumns:
    """Columns of all frames; methods take the rows of frames.

    Args:
        frames: columns of each frame, at least one.
    """

    def __init__(self, frames: Sequence[FrameFacts]) -> None:
        self.position = np.array([frame.position for frame in frames])
        self.points = np.concatenate([frame.points for frame in frames])
        self.cameras = _joined([frame.cameras for frame in frames])
        self.boxes = _joined([frame.boxes for frame in frames])
        counts = [len(frame.points) for frame in frames]
        self.frame_of_box = np.repeat(np.arange(len(frames)), counts)
        counts = [len(frame.cameras.name) for frame in frames]
        self.frame_of_camera = np.repeat(np.arange(len(frames)), counts)

    def of_rows(self, rows: Int[np.ndarray, " n"]) -> tuple[CameraFacts, BoxFacts]:
        """Cameras and boxes of some frames."""
        cameras, boxes = np.isin(self.frame_of_camera, rows), np.isin(self.frame_of_box, rows)
        return _taken(self.cameras, cameras), _taken(self.boxes, boxes)

    def classes_held(
        self, rows: Int[np.ndarray, " n"], num_classes: int, min_points: int
    ) -> Bool[np.ndarray, "n C"]:
        """Mask of the classes that each of some frames has boxes of, see ``Frames``."""
        held = np.zeros((len(self.position), num_classes), bool)
        counted = self.points >= min_points
        held[self.frame_of_box[counted], self.boxes.label[counted]] = True
        return held[rows]

    def tally(
        self, rows: Int[np.ndarray, " n"], scenes: int, names: Sequence[str], min_points: int
    ) -> Tally:
        """Count the boxes of some frames, see ``Frames``."""
        wanted = np.isin(self.frame_of_box, rows)
        points, label = self.points[wanted], self.boxes.label[wanted]
        enough = points >= min_points
        used: Iterable[str] = (names[one] for one in label[enough].tolist())
        return Tally.make(scenes, len(rows), used, [too_few_points(points[~enough], min_points)])


def camera_facts(frame: Frame, names: Collection[str]) -> CameraFacts:
    """Calibrations of those cameras of a frame that are named."""
    cameras = [camera for camera in frame.cameras if camera.name in names]
    matrix = np.array([camera.intrinsics.numpy() for camera in cameras]).reshape(-1, 3, 3)
    pose = np.array([camera.ego_from_camera.numpy() for camera in cameras]).reshape(-1, 4, 4)
    return CameraFacts(
        name=np.array([camera.name for camera in cameras], str),
        size=np.array([camera.size for camera in cameras], float).reshape(-1, 2),
        focal=matrix[:, [0, 1], [0, 1]],
        centre=matrix[:, :2, 2],
        height=pose[:, 2, 3],
        forward_up=pose[:, 2, 2],
        down_up=pose[:, 2, 1],
    )


def _boxes(frame: Frame) -> BoxFacts:
    boxes = frame.boxes
    return BoxFacts(
        label=boxes.label.numpy(),
        size=boxes.size.numpy().astype(float),
        speed=np.linalg.norm(boxes.velocity.numpy(), axis=1).astype(float),
        distance=np.linalg.norm(boxes.center.numpy()[:, :2], axis=1).astype(float),
    )


def _joined(parts: Sequence[Part]) -> Part:
    columns = [field.name for field in fields(parts[0])]
    return type(parts[0])(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    )


def _taken(part: Part, wanted: Bool[np.ndarray, " k"]) -> Part:
    columns = [field.name for field in fields(part)]
    return type(part)(**{name: getattr(part, name)[wanted] for name in columns})

"""The boxes that a detector finds in one frame."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from bev.data.boxes_file import BoxesFile, FrameBoxes, to_json
from bev.data.labels import LabelSpace
from bev.errors import count_of
from bev.geometry import Boxes3D


class DetectedBox(NamedTuple):
    """One box as plain numbers, ego frame.

    Attributes:
        name: class.
        score: confidence, 0 to 1.
        center: geometric centre (x forward, y left, z up), metres.
        size: (length, width, height), metres.
        yaw: radians, counter-clockwise from x.
        velocity: (vx, vy), metres per second; None if the model does not predict it.
        attribute: name of the attribute; empty for none.
    """

    name: str
    score: float
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float
    velocity: tuple[float, float] | None
    attribute: str


@dataclass(frozen=True, repr=False)
class Detections:
    """Boxes of one frame, best first; iterating yields a :class:`DetectedBox` each.

    Attributes:
        boxes: boxes in the ego frame, on the CPU.
        labels: label space of the boxes.
        token: name of the frame.
        time: time of the frame in seconds; None if it was not given.
    """

    boxes: Boxes3D
    labels: LabelSpace
    token: str = "frame"
    time: float | None = None

    @property
    def classes(self) -> list[str]:
        """Class of each box."""
        names = self.labels.names
        return [names[label] for label in self.boxes.label.tolist()]

    @property
    def scores(self) -> list[float]:
        """Score of each box."""
        return self.boxes.score.tolist()

    def above(self, score: float) -> "Detections":
        """The boxes with at least this score."""
        return replace(self, boxes=self.boxes[self.boxes.score >= score])

    def of(self, *names: str) -> "Detections":
        """The boxes of these classes.

        Raises:
            ConfigError: for a class that the model does not have.
        """
        self.labels.check("Detections.of", names, self.labels.names)
        wanted = self.boxes.label.new_tensor([self.labels.names.index(name) for name in names])
        return replace(self, boxes=self.boxes[(self.boxes.label[:, None] == wanted).any(dim=1)])

    def frame_boxes(self) -> FrameBoxes:
        """The boxes as a frame of a file of boxes (``bev.data.boxes_file``)."""
        timestamp = None if self.time is None else round(self.time * 1e6)
        return FrameBoxes(self.token, self.boxes, timestamp=timestamp)

    def to_json(self) -> str:
        """The boxes as a file of boxes with one frame; docs/detect.md describes the fields."""
        return to_json(BoxesFile((self.frame_boxes(),), self.labels.names, self.labels.attributes))

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[DetectedBox]:
        boxes, attributes = self.boxes, (*self.labels.attributes, "")  # -1 selects the last
        known = boxes.velocity.isfinite().all(dim=1).tolist()
        columns = (boxes.center, boxes.size, boxes.velocity, boxes.yaw, boxes.attribute)
        rows = zip(self.classes, self.scores, known, *(c.tolist() for c in columns), strict=True)
        for name, score, moving, center, size, velocity, yaw, attribute in rows:
            yield DetectedBox(
                name, score, tuple(center), tuple(size), yaw,
                tuple(velocity) if moving else None, attributes[attribute],
            )  # fmt: skip

    def __repr__(self) -> str:
        counts = Counter(self.classes).most_common()
        found = ", ".join(f"{count} {name}" for name, count in counts)
        return (
            f"Detections({self.token}: {count_of(len(self), 'box')}{': ' if found else ''}{found})"
        )

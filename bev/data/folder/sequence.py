"""Frames of one sequence: images and calibration by the rig, ground truth of its file of boxes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from bev.data.boxes_file import BoxesFile, FrameBoxes, read_boxes
from bev.data.boxes_file.reference import partly_stated, referred, same_times
from bev.data.folder.description import Description, read_rig
from bev.data.folder.velocity import with_velocities
from bev.data.frame import Frame
from bev.data.labels import LabelSpace
from bev.data.rig import frames_of
from bev.errors import DataError, shown
from bev.geometry import Boxes3D

_DEGREES = 10.0  # radians, beyond which a yaw is taken for degrees


class SequenceFiles(NamedTuple):
    """Files of one sequence.

    Attributes:
        root: folder of all sequences.
        name: name of the sequence and of its folder.
        boxes: name of its file of boxes.
    """

    root: Path
    name: str
    boxes: str

    @property
    def folder(self) -> Path:
        """Folder of the sequence."""
        return self.root / self.name

    @property
    def boxes_path(self) -> Path:
        """File of boxes; a sequence without one is not annotated."""
        return self.folder / self.boxes

    @property
    def is_annotated(self) -> bool:
        """True if there is a file of boxes."""
        return self.boxes_path.is_file()

    def table(self, kind: Literal["poses", "times"]) -> Path | None:
        """Table of the sequence, ``poses.csv`` or ``poses.json`` and so on; None without one.

        Raises:
            DataError: if there are both.
        """
        paths = [self.folder / f"{kind}.csv", self.folder / f"{kind}.json"]
        found = [path for path in paths if path.is_file()]
        if len(found) > 1:
            raise DataError(
                f"Sequence {self.name} has {found[0].name} and {found[1].name}; remove one of them."
            )
        return found[0] if found else None


def read_sequence(
    files: SequenceFiles, description: Description, min_score: float = 0.0
) -> list[Frame | DataError]:
    """Frames of a sequence in order of time; those with boxes, if it is annotated.

    A fault of a single frame takes its place, so that a check of the data can list all of them.

    Args:
        files: files of the sequence.
        description: content of ``folder.yaml``.
        min_score: boxes with a lower score are left out.
    """
    try:
        poses = files.table("poses")
        moments = _moments(files, poses, description)
        if not files.is_annotated:
            return [*moments.values()]
        content = read_boxes(files.boxes_path)
    except DataError as error:
        return [error]
    if not content.frames:
        return [
            DataError(
                f"File of boxes {files.boxes_path} has no frames; list moments without objects with"
                " 'boxes': [], or remove the file."
            )
        ]
    space = _Space.of(content, description)
    assumed = [round(place * description.interval * 1e6) for place in range(len(moments))]
    timed = assumed != [frame.timestamp for frame in moments.values()]
    file = f"File of boxes {files.boxes_path}"
    entries = {entry.token: entry for entry in content.frames}
    if fault := partly_stated(entries, timed, poses, file):
        return [fault]
    found: list[_Annotated] = []
    faults: list[DataError] = []
    tracks: dict[str, int] = {}
    for entry in content.frames:
        where = f"{file}, frame {entry.token[:100]!r}"
        try:
            frame = _moment_of(entry, moments, files, where)
            frame = referred(frame, entry, timed, poses, where)
            found.append(_annotated(frame, entry, space, min_score, tracks, where))
        except DataError as error:
            faults.append(error)
    found.sort(key=lambda one: one.frame.timestamp)
    if fault := same_times([one.frame for one in found], file):
        return [fault]
    frames = with_velocities([one.frame for one in found], [one.named for one in found])
    return [*faults, *frames]


class _Annotated(NamedTuple):
    """A frame with its boxes, and which of them have a track."""

    frame: Frame
    named: Tensor


class _Space(NamedTuple):
    """Classes and attributes of a file of boxes, by those of the folder.

    Attributes:
        labels: label space of the folder.
        classes: names of the file's classes.
        label: label of each class of the file; -1 for ignored ones, -2 for unknown ones.
        attribute: attribute of each attribute of the file, then -1 for none; -1 for unknown ones.
    """

    labels: LabelSpace
    classes: tuple[str, ...]
    label: Int[Tensor, " C"]
    attribute: Int[Tensor, " A"]

    @classmethod
    def of(cls, content: BoxesFile, description: Description) -> "_Space":
        names, attributes = description.labels.names, description.labels.attributes
        label = [
            names.index(one) if one in names else -1 if one in description.ignore else -2
            for one in content.classes
        ]
        kept = [attributes.index(a) if a in attributes else -1 for a in content.attributes]
        return cls(
            description.labels, content.classes, torch.tensor(label), torch.tensor([*kept, -1])
        )


def _moments(
    files: SequenceFiles, poses: Path | None, description: Description
) -> dict[str, Frame]:
    """Frames of the images without boxes, by the name of their moment."""
    folder, times = files.folder, files.table("times")
    rig, interval = read_rig(files.root, folder), description.interval
    frames = frames_of(rig, folder, poses, times, interval=interval, missing="skip")
    return {
        frame.token: replace(frame, token=f"{files.name}/{frame.token}", scene=files.name)
        for frame in frames
    }


def _moment_of(
    entry: FrameBoxes, moments: dict[str, Frame], files: SequenceFiles, where: str
) -> Frame:
    """Frame of the images that boxes belong to."""
    if entry.scene not in ("", files.name, files.folder.name, files.folder.resolve().name):
        raise DataError(
            f"{where} is of the sequence {shown(entry.scene)}; move it to that sequence's folder,"
            " or correct its 'scene'."
        )
    frame = moments.get(entry.token.removeprefix(f"{files.name}/"))
    if frame is None:
        example = next(iter(moments), "")
        raise DataError(
            f"{where} has no images in {files.folder}; a token is the name of a moment of the"
            f" images, such as {shown(example)}."
        )
    return frame


def _annotated(
    frame: Frame,
    entry: FrameBoxes,
    space: _Space,
    min_score: float,
    tracks: dict[str, int],
    where: str,
) -> _Annotated:
    """The frame with its boxes, in the order of the file."""
    boxes, label = entry.boxes, space.label[entry.boxes.label]
    if bool((label == -2).any()):
        name = space.classes[int(boxes.label[label == -2][0])]
        raise DataError(
            f"{where} has a box of class {shown(name)}, which folder.yaml does not list; add it to"
            " 'classes' or to 'ignore'."
        )
    far = boxes.yaw.abs() > _DEGREES
    if bool(far.any()):
        raise DataError(
            f"{where} has a box with yaw {float(boxes.yaw[far][0]):g}, as if in degrees; give"
            " radians from -pi to pi."
        )
    wanted = (label >= 0) & (boxes.score >= min_score)
    names = entry.tracks or ("",) * len(boxes)
    named = torch.tensor([bool(name) for name in names], dtype=torch.bool)
    numbers = []
    for place, name in enumerate(names):
        key = name or f"\0{entry.token} {place}"  # an object of its own
        numbers.append(tracks.setdefault(key, len(tracks)))
    kept = Boxes3D.make(
        boxes.center, boxes.size, boxes.yaw, boxes.velocity, label.clamp(min=0),
        attribute=_attributes(boxes, label, space),
    )[wanted]  # fmt: skip
    instances = torch.tensor(numbers, dtype=torch.long)[wanted]
    return _Annotated(replace(frame, boxes=kept, instances=instances), named[wanted])


def _attributes(boxes: Boxes3D, label: Int[Tensor, " M"], space: _Space) -> Int[Tensor, " M"]:
    """Attributes of boxes; those that the class does not have are left out."""
    found = space.attribute[boxes.attribute]
    names = space.labels.attributes
    for place, (kind, attribute) in enumerate(zip(label.tolist(), found.tolist(), strict=True)):
        if attribute >= 0 and names[attribute] not in space.labels.classes[kind].attributes:
            found[place] = -1
    return found


def names_of(root: Path, depth: int = 1) -> Sequence[str]:
    """Names of the folders that may be sequences, in order.

    Args:
        root: folder of all sequences.
        depth: number of folders in a name, such as 2 for ``2026/monday``.
    """
    found = (path for path in root.glob("/".join("*" * depth)) if path.is_dir())
    names = (path.relative_to(root) for path in found)
    return sorted(
        name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)
    )

"""Writing of a file of boxes."""

import dataclasses
import json
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from bev.data.boxes_file.content import FORMAT, FRAME, UNITS, BoxesFile, FrameBoxes
from bev.data.boxes_file.rows import box_rows
from bev.files import replacing

UNFINISHED = "unfinished"
_OFTEN, _SHARE = 2.0, 20.0  # least wait between two writes: seconds, and times what the last took


def to_json(content: BoxesFile) -> str:
    """JSON text of boxes, a line for each frame and each box; numbers are exact."""
    return "".join(_joined(content, (_frame_text(frame, content) for frame in content.frames)))


def write_boxes(path: Path | str, content: BoxesFile) -> Path:
    """Write a file of boxes atomically, so that :func:`read_boxes` returns the same boxes.

    Args:
        path: file to write; its folder is created if needed.
        content: boxes of each frame; centre, size, yaw and score must be finite.

    Returns:
        The path.

    Raises:
        ValueError: for a number that is not finite.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w") as file:
        file.writelines(_joined(content, (_frame_text(frame, content) for frame in content.frames)))
    return path


class GrowingBoxes:
    """A file of boxes that is written while its frames are computed.

    The file is replaced by a longer one every few seconds, so it is whole at any time; a killed
    process loses the frames of the last seconds. Until the block ends without an error, ``info``
    has the key ``unfinished``.

    Args:
        path: file to write; its folder is created if needed.
        content: classes, attributes and info of the file; its frames are those that are added.
    """

    def __init__(self, path: Path | str, content: BoxesFile) -> None:
        self.path, self.content = Path(path), content
        self._frames: list[str] = []
        self._written, self._took = -math.inf, 0.0  # when the file was written last, and how long

    def __enter__(self) -> "GrowingBoxes":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or self._frames:
            self._write(finished=kind is None)

    def __len__(self) -> int:
        """Number of frames so far."""
        return len(self._frames)

    def add(self, frame: FrameBoxes) -> None:
        """Add the boxes of the next frame.

        Raises:
            ValueError: for a number that is not finite.
        """
        self._frames.append(_frame_text(frame, self.content))
        if time.monotonic() - self._written > max(_OFTEN, _SHARE * self._took):
            self._write(finished=False)

    def _write(self, finished: bool) -> None:
        start = time.monotonic()
        info = dict(self.content.info) | ({} if finished else {UNFINISHED: True})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as partial, partial.open("w") as file:
            file.writelines(_joined(dataclasses.replace(self.content, info=info), self._frames))
        self._written = time.monotonic()
        self._took = self._written - start


def _joined(content: BoxesFile, frames: Iterable[str]) -> Iterator[str]:
    """Parts of the file's text: the head, the text of each frame and the end."""
    head = {
        "format": FORMAT, "units": UNITS, "frame": FRAME, "classes": list(content.classes),
        "attributes": list(content.attributes), "info": dict(content.info),
    }  # fmt: skip
    yield f"{_text(head)[:-1]},\n" + '"frames": ['
    for number, frame in enumerate(frames):
        yield "," * (number > 0) + frame
    yield "\n]}\n"


def _frame_text(frame: FrameBoxes, content: BoxesFile) -> str:
    parts = [f"\n{_text(_frame_head(frame))[:-1]}, " + '"boxes": [']
    rows = box_rows(frame.boxes.to("cpu"), content.classes, content.attributes, short=True)
    for place, row in enumerate(rows):
        if frame.tracks and frame.tracks[place]:
            row["track"] = frame.tracks[place]
        parts.append("," * (place > 0) + f"\n  {_text(row)}")
    return "".join([*parts, "]}"])


def _frame_head(frame: FrameBoxes) -> dict:
    head: dict = {"token": frame.token}
    if frame.scene:
        head["scene"] = frame.scene
    if frame.timestamp is not None:
        head["timestamp"] = int(frame.timestamp)
    if frame.global_from_ego is not None:
        head["global_from_ego"] = frame.global_from_ego.tolist()
    if frame.images:
        head["images"] = dict(frame.images)
    return head


def _text(value: object) -> str:
    return json.dumps(value, allow_nan=False)

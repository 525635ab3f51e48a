"""Writing of a file of boxes."""

import json
from collections.abc import Iterator
from pathlib import Path

from bev.data.boxes_file.content import FORMAT, FRAME, UNITS, BoxesFile, FrameBoxes
from bev.data.boxes_file.rows import box_rows
from bev.files import replacing


def to_json(content: BoxesFile) -> str:
    """JSON text of boxes, a line for each frame and each box; numbers are exact."""
    return "".join(_parts(content))


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
        file.writelines(_parts(content))
    return path


def _parts(content: BoxesFile) -> Iterator[str]:
    head = {
        "format": FORMAT, "units": UNITS, "frame": FRAME, "classes": list(content.classes),
        "attributes": list(content.attributes), "info": dict(content.info),
    }  # fmt: skip
    yield f"{_text(head)[:-1]},\n" + '"frames": ['
    for number, frame in enumerate(content.frames):
        yield "," * (number > 0) + f"\n{_text(_frame_head(frame))[:-1]}, " + '"boxes": ['
        rows = box_rows(frame.boxes.to("cpu"), content.classes, content.attributes, short=True)
        for place, row in enumerate(rows):
            if frame.tracks and frame.tracks[place]:
                row["track"] = frame.tracks[place]
            yield "," * (place > 0) + f"\n  {_text(row)}"
        yield "]}"
    yield "\n]}\n"


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

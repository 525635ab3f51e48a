"""Strict reading of a file of boxes."""

import difflib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from bev.data.boxes_file.content import FORMAT, FRAME, UNITS, BoxesFile, FrameBoxes
from bev.data.boxes_file.rows import boxes_of_rows
from bev.errors import DataError, shown
from bev.files import regular_length
from bev.geometry import Boxes3D, is_rigid
from bev.plain_json import is_number, load_json

_TOP = {"format", "units", "frame", "classes", "attributes", "info", "frames"}
_FRAME = {"token", "scene", "timestamp", "global_from_ego", "images", "boxes"}
_BOX = {"class", "center", "size", "yaw", "score", "velocity", "attribute", "track"}
_MOST_BYTES = 2**32


def read_boxes(path: Path | str) -> BoxesFile:
    """Read a file of boxes (float32), as written by :func:`write_boxes` or by hand.

    A box needs ``class``, ``center``, ``size`` and ``yaw``; the score is 1 and velocity, attribute
    and track are unknown where they are left out.

    Raises:
        DataError: if the file cannot be read or breaks a rule of the format; names the file, the
            frame, the box and the field.
    """
    path = Path(path)
    try:
        if (length := regular_length(path)) > _MOST_BYTES:
            raise DataError(f"File of boxes {path} has {length} bytes; divide it by scenes.")
        content = load_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"File of boxes {path} cannot be read ({error.strerror}); restore it, or name another."
        ) from error
    except ValueError as error:
        raise DataError(f"File of boxes {path} is not JSON ({shown(str(error))}).") from error
    try:
        return _content(content)
    except ValueError as error:
        raise DataError(f"File of boxes {path}: {error}.") from error


def _content(content: Any) -> BoxesFile:
    if not isinstance(content, dict) or "format" not in content:
        raise ValueError(f"it lacks 'format': {FORMAT!r}, so it is no file of boxes")
    if content["format"] != FORMAT:
        raise ValueError(f"its 'format' is {shown(content['format'])}; this version reads {FORMAT}")
    _check_keys(content, _TOP, ("units", "frame", "classes", "frames"))
    if content["units"] != UNITS:
        raise ValueError(f"its 'units' are {shown(content['units'])}; convert the boxes to {UNITS}")
    if content["frame"] != FRAME:
        raise ValueError(
            f"its 'frame' is {shown(content['frame'])}; move the boxes to the {FRAME} frame (x"
            " forward, y left, z up)"
        )
    classes, attributes = (_names(content, key) for key in ("classes", "attributes"))
    if not classes:
        raise ValueError("its 'classes' are empty; name at least one")
    info, rows = content.get("info", {}), content["frames"]
    if not isinstance(info, dict) or not isinstance(rows, list):
        raise ValueError("'info' must be a mapping and 'frames' a list")
    frames, tokens = [], set[str]()
    for number, row in enumerate(rows):
        frame = _frame(row, number, classes, attributes)
        if frame.token in tokens:
            raise ValueError(f"two frames have the token {shown(frame.token)}; make them unique")
        tokens.add(frame.token)
        frames.append(frame)
    return BoxesFile(tuple(frames), classes, attributes, info)


def _names(content: dict, key: str) -> tuple[str, ...]:
    names = content.get(key, [])
    if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names):
        raise ValueError(f"its {key!r} are {shown(names)}, not a list of names")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"its {key!r} contain {shown(name)} twice")
    return tuple(names)


def _frame(
    row: Any, number: int, classes: tuple[str, ...], attributes: tuple[str, ...]
) -> FrameBoxes:
    token = row.get("token") if isinstance(row, dict) else None
    if not isinstance(token, str) or not token:
        raise ValueError(f"frame {number} is no mapping with a 'token', the name of the frame")
    try:
        _check_keys(row, _FRAME, ("boxes",))
        scene, timestamp, images = row.get("scene", ""), row.get("timestamp"), row.get("images", {})
        if not isinstance(scene, str):
            raise ValueError(f"'scene' is {shown(scene)}, not a name")
        if timestamp is not None and (type(timestamp) is not int or abs(timestamp) >= 2**63):
            raise ValueError(
                f"'timestamp' is {shown(timestamp)}, not a whole number of microseconds"
            )
        if not isinstance(images, dict) or not all(isinstance(v, str) for v in images.values()):
            raise ValueError("'images' is no mapping from cameras to files")
        boxes, tracks = _boxes(row["boxes"], classes, attributes)
        pose = _pose(row.get("global_from_ego"))
    except ValueError as error:
        raise ValueError(f"frame {token[:100]!r}: {error}") from error
    return FrameBoxes(token, boxes, scene, timestamp, pose, tracks, images)


def _boxes(
    rows: Any, classes: tuple[str, ...], attributes: tuple[str, ...]
) -> tuple[Boxes3D, tuple[str, ...]]:
    if not isinstance(rows, list):
        raise ValueError(f"'boxes' is {shown(rows)}, not a list")
    tracks: dict[str, None] = {}
    names = []
    for number, row in enumerate(rows):
        try:
            if not isinstance(row, dict):
                raise ValueError(f"it is {shown(row)}, not a mapping")
            _check_keys(row, _BOX, ("class", "center", "size", "yaw"))
            names.append(_track(row.get("track", ""), tracks))
        except ValueError as error:
            raise ValueError(f"box {number}: {error}") from error
        if names[-1]:
            tracks[names[-1]] = None
    try:
        boxes = _converted(rows, classes, attributes)
    except ValueError:
        for number, row in enumerate(rows):  # one by one, to name the box
            try:
                _converted([row], classes, attributes)
            except ValueError as error:
                raise ValueError(f"box {number}: {error}") from error
        raise
    return boxes, tuple(names) if tracks else ()


def _converted(rows: list[dict], classes: tuple[str, ...], attributes: tuple[str, ...]) -> Boxes3D:
    boxes = boxes_of_rows(
        [{"score": 1.0, **row} for row in rows], classes, attributes, torch.float32
    )
    numbers = torch.cat([boxes.center, boxes.size, boxes.yaw[:, None]], dim=1)
    if not bool(numbers.isfinite().all() and (boxes.size > 0).all()):
        raise ValueError(
            "its 'center', 'size' and 'yaw' must be metres and radians in the range of float32,"
            " sizes above 0"
        )
    if bool(boxes.velocity.isinf().any()):  # an unknown velocity is NaN
        raise ValueError("its 'velocity' must be metres per second in the range of float32")
    if not bool(((boxes.score >= 0) & (boxes.score <= 1)).all()):
        raise ValueError("its 'score' is not between 0 and 1")
    return boxes


def _track(value: Any, before: Collection[str]) -> str:
    if type(value) is int and abs(value) < 2**63:
        value = str(value)
    if not isinstance(value, str):
        raise ValueError(f"'track' is {shown(value)}, not a name or a whole number")
    if value and value in before:
        raise ValueError(f"another box of the frame has the track {shown(value)}")
    return value


def _pose(value: Any) -> torch.Tensor | None:
    if value is None:
        return None
    rows = value if isinstance(value, list) and len(value) == 4 else [None]
    if not all(isinstance(r, list) and len(r) == 4 and all(map(is_number, r)) for r in rows):
        raise ValueError(f"'global_from_ego' is {shown(value)}, not a 4x4 matrix")
    pose = torch.tensor(value, dtype=torch.float64)
    if not is_rigid(pose):
        raise ValueError("'global_from_ego' is not a rotation with a translation")
    return pose


def _check_keys(row: dict, known: Collection[str], needed: Collection[str]) -> None:
    """Raise an error for a key that is missing or unknown."""
    for key in needed:
        if key not in row:
            raise ValueError(f"it lacks {key!r}")
    for key in row:
        if key not in known:
            near = difflib.get_close_matches(key, sorted(known), 1, 0.0)
            raise ValueError(f"it has an unknown {shown(key)}; did you mean {near[0]!r}?")

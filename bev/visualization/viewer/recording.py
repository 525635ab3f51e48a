"""Recordings: the contents of the viewer as one file that opens without the data.

A recording is a ZIP file of plain data; reading it runs no code. Its members are::

    recording.json    title, scene, classes, names of the sets of boxes; of each moment token, time
                      and pose, names, poses and borders of the images, names and extents of the
                      maps
    0000/camera0.jpg  image of the first camera of the first moment
    0000/map0.png     its first map: red, green, blue and opacity
    0000/boxes0.f8    its first set of boxes, COLUMNS of each, float64, little-endian
    0000/lidar.i2     x, y, z of its lidar points in centimetres, int16, little-endian
"""

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from bev.data.images.header import image_size, is_cut_off
from bev.errors import ConfigError, DataError, shown
from bev.files import regular_length, replacing
from bev.plain_json import is_number, load_json
from bev.visualization.viewer.contents import (
    BoxTable,
    CameraPicture,
    GroundMap,
    Moment,
    NamedClass,
    Recording,
)

SUFFIX = ".bevrec"
FORMAT = 1
COLUMNS = ("x", "y", "z", "length", "width", "height", "yaw", "vx", "vy", "label", "score", "track",
           "points")  # fmt: skip
_MOST_BYTES, _MOST_PIXELS, _MOST_MOMENTS = 2**26, 2**24, 10_000  # of a member, an image, a file
_MOST_IN_ALL = 2**32  # bytes of all members


class _Damaged(ValueError):
    """The content of a recording does not have the expected form."""


def check_path(path: Path) -> Path:
    """Check that the file of a recording ends in ``.bevrec``.

    Raises:
        ConfigError: if not.
    """
    if path.suffix.lower() != SUFFIX:
        raise ConfigError(f"The recording {str(path)!r} must end in {SUFFIX}.")
    return path


def write_recording(recording: Recording, path: Path) -> Path:
    """Write a recording, atomically; its folder is created.

    Raises:
        ConfigError: if the path does not end in ``.bevrec``.
    """
    check_path(path).parent.mkdir(parents=True, exist_ok=True)
    moments = []
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
        for number, moment in enumerate(recording.moments):
            folder = f"{number:04d}"
            for place, camera in enumerate(moment.cameras):
                file.writestr(f"{folder}/camera{place}.jpg", camera.jpeg, zipfile.ZIP_STORED)
            for place, one in enumerate(moment.maps):
                file.writestr(f"{folder}/map{place}.png", one.png, zipfile.ZIP_STORED)
            for place, boxes in enumerate(moment.boxes):
                file.writestr(f"{folder}/boxes{place}.f8", _packed(boxes))
            if moment.lidar is not None:
                file.writestr(f"{folder}/lidar.i2", moment.lidar.astype("<i2").tobytes())
            moments.append(
                {
                    "token": moment.token,
                    "seconds": moment.seconds,
                    "scene_from_ego": moment.scene_from_ego.tolist(),
                    "cameras": [
                        {"name": one.name, "ego_from_camera": one.ego_from_camera.tolist(),
                         "border": one.border}
                        for one in moment.cameras
                    ],
                    "maps": [{"name": one.name, "extent": one.extent} for one in moment.maps],
                    "lidar": moment.lidar is not None,
                }
            )  # fmt: skip
        content = {
            "format": FORMAT,
            "title": recording.title,
            "scene": recording.scene,
            "classes": [{"name": one.name, "color": one.color} for one in recording.classes],
            "layers": recording.layers,
            "moments": moments,
        }
        file.writestr("recording.json", json.dumps(content, allow_nan=False))
    return path


def read_recording(path: Path) -> Recording:
    """Read the file that :func:`write_recording` wrote; it may come from anybody.

    Raises:
        DataError: if the file is missing, damaged, too large or no recording.
    """
    try:
        regular_length(path)
        with zipfile.ZipFile(path) as file:
            members = {one.filename: one for one in file.infolist()}
            if sum(one.file_size for one in members.values()) > _MOST_IN_ALL:
                raise _Damaged(f"it unpacks to more than {_MOST_IN_ALL} bytes")
            return _Reader(file, members).recording()
    except OSError as error:
        why = error.strerror or str(error)
    except (_Damaged, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        why = str(error) or type(error).__name__
    except (ValueError, LookupError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
        why = f"{type(error).__name__}: {error}"
    raise DataError(
        f"Recording {path} cannot be used ({' '.join(why.split())[:300]}); record the scene again"
        f" (bevlab visualize … --record FILE{SUFFIX})."
    )


class _Reader:
    """The contents of an opened recording, each checked before it is used."""

    def __init__(self, file: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
        self.file, self.members = file, members

    def recording(self) -> Recording:
        content = load_json(self.content("recording.json"))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            found = content.get("format") if isinstance(content, dict) else content
            raise _Damaged(f"its format is {shown(found)}, not {FORMAT}")
        classes = tuple(
            NamedClass(_text(one["name"]), _color(one["color"]))
            for one in _list(content["classes"])
        )
        layers = tuple(map(_text, _list(content["layers"])))
        rows = _list(content["moments"])
        if not layers or not 0 < len(rows) <= _MOST_MOMENTS:
            raise _Damaged(f"it has {len(layers)} sets of boxes and {len(rows)} moments")
        moments = tuple(
            self.moment(f"{number:04d}", row, len(layers), len(classes))
            for number, row in enumerate(rows)
        )
        return Recording(_text(content["title"]), _text(content["scene"]), classes, layers, moments)

    def moment(self, folder: str, row: dict[str, Any], layers: int, classes: int) -> Moment:
        cameras = tuple(
            CameraPicture(
                _text(one["name"]),
                _pose(one["ego_from_camera"]),
                _extent(one["border"], "border"),
                self.image(f"{folder}/camera{place}.jpg"),
            )
            for place, one in enumerate(_list(row["cameras"]))
        )
        maps = tuple(
            GroundMap(
                _text(one["name"]),
                _extent(one["extent"], "extent"),
                self.image(f"{folder}/map{place}.png"),
            )
            for place, one in enumerate(_list(row["maps"]))
        )
        boxes = tuple(self.boxes(f"{folder}/boxes{place}.f8", classes) for place in range(layers))
        lidar = self.array(f"{folder}/lidar.i2", "<i2", 3) if row["lidar"] else None
        if not is_number(row["seconds"]):
            raise _Damaged(f"a time is {shown(row['seconds'])}")
        pose = _pose(row["scene_from_ego"])
        return Moment(_text(row["token"]), float(row["seconds"]), pose, cameras, boxes, maps, lidar)

    def content(self, name: str) -> bytes:
        if name not in self.members:
            raise _Damaged(f"it lacks {name}")
        if self.members[name].file_size > _MOST_BYTES:
            raise _Damaged(f"{name} has more than {_MOST_BYTES} bytes")
        return self.file.read(name)  # checks its length and its checksum

    def array(self, name: str, kind: str, width: int) -> np.ndarray:
        data = self.content(name)
        if len(data) % (width * np.dtype(kind).itemsize):
            raise _Damaged(f"{name} has {len(data)} bytes, which are no whole rows")
        found = np.frombuffer(data, kind).reshape(-1, width)
        return found.astype(found.dtype.newbyteorder("="))

    def image(self, name: str) -> bytes:
        data = self.content(name)
        size = image_size(data)
        if size is None or is_cut_off(data) or not 0 < size[0] * size[1] <= _MOST_PIXELS:
            raise _Damaged(f"{name} is no whole image of at most {_MOST_PIXELS} pixels")
        return data

    def boxes(self, name: str, classes: int) -> BoxTable:
        values = self.array(name, "<f8", len(COLUMNS))
        column = dict(zip(COLUMNS, values.T, strict=True))
        known = [column[one] for one in COLUMNS if one not in ("vx", "vy")]
        whole = np.stack([column[one] for one in ("label", "track", "points")])
        with np.errstate(invalid="ignore"):
            good = (
                (np.abs(known) < 1e9).all()  # also refuses NaN
                and not (np.abs(values[:, 7:9]) > 1e9).any()  # NaN is an unknown velocity
                and (values[:, 3:6] > 0).all()
                and (whole == whole.round()).all()
                and ((column["label"] >= 0) & (column["label"] < classes)).all()
            )
        if not good:
            raise _Damaged(f"{name} has a box with a number that cannot be")
        label, track, points = whole.astype(np.int64)
        return BoxTable(
            values[:, :3], values[:, 3:6], column["yaw"], values[:, 7:9], label, column["score"],
            track, points,
        )  # fmt: skip


def _packed(boxes: BoxTable) -> bytes:
    columns = (
        boxes.center, boxes.size, boxes.yaw, boxes.velocity, boxes.label, boxes.score, boxes.track,
        boxes.points,
    )  # fmt: skip
    rows = [np.asarray(one, np.float64).reshape(len(boxes), -1) for one in columns]
    return np.concatenate(rows, axis=1).astype("<f8").tobytes()


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Damaged(f"{shown(value)} is no list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Damaged(f"{shown(value)} is no text")
    return value


def _color(value: Any) -> tuple[int, int, int]:
    if len(_list(value)) != 3 or not all(type(one) is int and 0 <= one <= 255 for one in value):
        raise _Damaged(f"{shown(value)} is no colour")
    return value[0], value[1], value[2]


def _extent(value: Any, what: str) -> tuple[float, float, float, float]:
    if len(_list(value)) != 4 or not all(is_number(one) and abs(one) < 1e6 for one in value):
        raise _Damaged(f"the {what} {shown(value)} is not four numbers")
    left, top, right, bottom = map(float, value)
    if not (left < right and top < bottom):
        raise _Damaged(f"the {what} {shown(value)} is empty")
    return left, top, right, bottom


def _pose(value: Any) -> np.ndarray:
    rows = [row for part in _list(value) for row in _list(part)]
    if len(value) != 4 or len(rows) != 16 or not all(map(is_number, rows)):
        raise _Damaged(f"{shown(value)} is no pose")
    matrix = np.array(value, np.float64)
    turn = matrix[:3, :3]
    rigid = np.abs(turn @ turn.T - np.eye(3)).max() < 1e-3 and np.linalg.det(turn) > 0
    if not rigid or np.abs(matrix[:3, 3]).max() > 1e7 or matrix[3].tolist() != [0, 0, 0, 1]:
        raise _Damaged(f"{shown(value)} is no pose")
    return matrix

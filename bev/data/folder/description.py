"""``folder.yaml``: classes, splits and further settings of a folder of one's own."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from bev.bounds import check_bounds
from bev.data.labels import LabelSpace, ObjectClass
from bev.data.rig import Rig, load_rig
from bev.data.rig.frames import INTERVAL
from bev.data.rig.reading import info_files
from bev.data.rig.values import check_keys, number, text
from bev.errors import ConfigError, DataError, shown
from bev.paths import check_inside
from bev.plain_yaml import load_yaml
from bev.serialization import from_plain

FOLDER, RIG = "folder.yaml", "rig.yaml"
_KEYS = ("classes", "ignore", "splits", "interval")
_T = TypeVar("_T")
_SEQUENCE = "{sequence}/"  # patterns of a rig that is also used for the whole folder


@dataclass(frozen=True)
class Description:
    """Content of ``folder.yaml``.

    Attributes:
        labels: the classes; the attributes are those of all classes.
        ignore: classes of files of boxes that are left out.
        splits: sequences of each split, by its name.
        interval: seconds between the moments of a sequence whose images have no times.
    """

    labels: LabelSpace
    ignore: tuple[str, ...] = ()
    splits: tuple[tuple[str, tuple[str, ...]], ...] = ()
    interval: float = INTERVAL


def read_description(root: Path) -> Description:
    """Read ``folder.yaml``.

    Raises:
        DataError: if the file cannot be read, or a value is missing, unknown or impossible.
    """
    remedy = "write one with the classes and splits of the folder (docs/folder.md), or correct"
    return _current(_read, root / FOLDER, f"{remedy} --data.root.")


def cameras_of(root: Path) -> tuple[str, ...]:
    """Names of the cameras of the rig in a folder, in the order in which they are served.

    Raises:
        DataError: if the rig cannot be used.
    """
    return read_rig(root, root).names


def read_rig(root: Path, sequence: Path) -> Rig:
    """Rig of a sequence: its own ``rig.yaml``, or that of the folder.

    Image files are relative to the folder of the sequence; ``{sequence}/`` before them, as a rig
    of all sequences has it, is left out.

    Raises:
        DataError: if the rig cannot be used.
    """
    own = sequence / RIG
    path = (own if own.is_file() else root / RIG).absolute()
    infos = _current(_info_files, path, "write one (docs/rigs.md).")
    return _read_rig(path, tuple(_state(file) for file in (path, *infos)))


def _current(read: Callable[[Path, int, int], _T], path: Path, remedy: str) -> _T:
    """Content of a file by a reader that keeps its results, read again once the file has changed.

    Raises:
        DataError: if the file cannot be read.
    """
    try:
        path.stat()
        return read(path.absolute(), *_state(path))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); {remedy}") from error


def _state(path: Path) -> tuple[int, int]:
    """Time and length of a file, which tell whether it has changed; zeros if there is none."""
    try:
        state = path.stat()
    except (OSError, ValueError):  # a name with a null character
        return 0, 0
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=64)
def _info_files(path: Path, changed: int, length: int) -> tuple[Path, ...]:
    return info_files(path)


@lru_cache(maxsize=64)
def _read_rig(path: Path, states: tuple[tuple[int, int], ...]) -> Rig:
    rig = load_rig(path)
    return Rig(
        tuple(
            replace(camera, images=camera.images.removeprefix(_SEQUENCE)) for camera in rig.cameras
        )
    )


@lru_cache(maxsize=16)
def _read(path: Path, changed: int, length: int) -> Description:
    try:
        content = load_yaml(path)
    except ValueError as error:
        raise DataError(f"{path} cannot be read ({error}); correct it.") from error
    found = check_keys(content, _KEYS, str(path))
    kinds = found.get("classes")
    if not isinstance(kinds, list) or not kinds:
        raise DataError(f"{path}: classes are {shown(kinds)}; list at least one class.")
    classes = [_class(kind, f"{path}: class {number}") for number, kind in enumerate(kinds)]
    attributes = dict.fromkeys(name for one in classes for name in _attributes(one))
    try:
        labels = LabelSpace(tuple(classes), tuple(attributes))
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from error
    ignore = _names(found.get("ignore", []), f"{path}: ignore")
    for name in ignore:
        if name in labels.names:
            raise DataError(f"{path}: class {shown(name)} is listed and ignored; remove one.")
    splits = found.get("splits", {})
    if not isinstance(splits, dict):
        raise DataError(
            f"{path}: splits are {shown(splits)}; give a list of sequences for each split."
        )
    return Description(
        labels,
        ignore,
        tuple(
            (text(name, f"{path}: name of a split"), _sequences(some, f"{path}: split {name}"))
            for name, some in splits.items()
        ),
        _interval(found.get("interval", INTERVAL), f"{path}: interval"),
    )


def _class(kind: Any, where: str) -> ObjectClass:
    if isinstance(kind, str):
        kind = {"name": kind}
    found = check_keys(kind, [field.name for field in fields(ObjectClass)], where)
    text(found.get("name"), f"{where}: name")
    try:
        one: ObjectClass = from_plain(ObjectClass, found, where)
        check_bounds(one, where)
        return one
    except ConfigError as error:
        raise DataError(str(error)) from error


def _attributes(one: ObjectClass) -> tuple[str, ...]:
    return (*one.attributes, *filter(None, (one.at_rest, one.moving)))


def _names(values: Any, where: str) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise DataError(f"{where} is {shown(values)}; give a list of names.")
    names = tuple(text(value, where) for value in values)
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{where} has {shown(name)} twice; remove one.")
    return names


def _sequences(values: Any, where: str) -> tuple[str, ...]:
    names = _names(values, where)
    if not names:
        raise DataError(f"{where} is empty; name at least one sequence.")
    for name in names:
        try:
            check_inside(name)
        except ValueError as error:
            raise DataError(f"{where}: sequence {shown(name)} {error}; correct it.") from error
    return names


def _interval(value: Any, where: str) -> float:
    seconds = number(value, where)
    if not 1e-3 <= seconds <= 60:
        raise DataError(f"{where} is {shown(value)}; give 0.001 to 60 seconds.")
    return seconds

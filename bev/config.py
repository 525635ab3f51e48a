"""Experiments as typed, frozen objects: loaded from a Python file, overridden, saved, restored.

A config file is plain Python that ends in ``config = Experiment(...)``. On the command line
``--model.view.channels 64`` replaces one field (tyro). What is saved is plain data (``to_plain``),
and restoring it (``from_plain``) makes only dataclasses that are already known to this program, so
that a stranger's checkpoint runs no code.
"""

import dataclasses
import importlib.util
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro
import yaml

from bev.calls import Call
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.models import DetectorConfig
from bev.training.settings import TrainConfig


@dataclass(frozen=True)
class Experiment:
    """Everything that decides a run.

    Attributes:
        model, data, train: the three rooms of settings.
        name: of the config file, names the run folder.
    """

    model: DetectorConfig = field(default_factory=DetectorConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    name: str = "experiment"


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a config file, with command-line overrides.

    Raises:
        ConfigError: as :func:`load_file`.
        SystemExit: for an unknown or ill-typed override, after a message that names the nearest.
    """
    return override(load_file(path), overrides, str(path))


def override(config: Experiment, overrides: Sequence[str], name: str) -> Experiment:
    """An experiment with command-line overrides; ``name`` is what messages call it."""
    if not overrides:
        return config  # as it is, without the time of reading its fields
    return tyro.cli(Experiment, default=config, args=list(overrides), prog=name)


def load_file(path: str | Path) -> Experiment:
    """The experiment of a config file as it stands; its name is the file's.

    A file may import others of its folder (``from lss_r50 import config as base``). The
    ``config.yaml`` of a run, as :func:`save_config` writes it, is a config file too, and keeps its
    name.

    Raises:
        ConfigError: where the file is missing, defines no ``config``, or is not what was saved.
    """
    path = Path(path)
    if path.suffix == ".yaml":
        check_exists(path)
        return from_plain(Experiment, yaml.safe_load(path.read_text()))
    config = getattr(load_module(path), "config", None)
    if not isinstance(config, Experiment):
        raise ConfigError(f"Config file {path} does not end in `config = Experiment(...)`.")
    return dataclasses.replace(config, name=path.stem)


def check_exists(path: Path) -> None:
    """Raise ConfigError for a missing config file; names those that are there."""
    if not path.is_file():
        there = path.parent.glob(f"*{path.suffix}") if path.parent.is_dir() else ()
        near = sorted(map(str, there)) or "none there"
        raise ConfigError(f"Config file {path} does not exist; there are: {near}.")


def load_module(path: Path, beside: Sequence[Path] = ()) -> types.ModuleType:
    """Run a Python file that may import others of its folder, and of those ``beside`` it.

    Raises:
        ConfigError: where it is missing.
    """
    check_exists(path)
    before = set(sys.modules)
    folders = [str(folder.resolve()) for folder in (path.parent, *beside)]
    sys.path[:0] = folders
    try:
        spec = importlib.util.spec_from_file_location(f"bev_config_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        for folder in folders:
            sys.path.remove(folder)
        # Neighbours are imported by bare names: another folder may use the same ones.
        for name in set(sys.modules) - before:
            if str(Path(getattr(sys.modules[name], "__file__", None) or "").parent) in folders:
                del sys.modules[name]
    return module


def save_config(config: Experiment, path: Path) -> None:
    """Write the whole experiment as YAML."""
    path.write_text(yaml.safe_dump(to_plain(config), sort_keys=False))


def differences(before: Any, after: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """The fields (dotted names) in which two configs differ, with the value in each."""
    if not dataclasses.is_dataclass(before) or type(before) is not type(after):
        return [] if before == after else [(where, before, after)]
    found = []
    for f in dataclasses.fields(before):
        name = f"{where}.{f.name}" if where else f.name
        found += differences(getattr(before, f.name), getattr(after, f.name), name)
    return found


def to_plain(value: Any, annotation: Any = None) -> Any:
    """Plain data (mappings, lists, numbers, strings) of a config.

    Where a field holds a subclass of its annotation, the mapping also carries ``type``:
    ``module:Class``. A class of a library with arguments is its text, see ``bev.calls``.
    """
    if dataclasses.is_dataclass(value):
        hints = typing.get_type_hints(type(value))
        plain = {
            f.name: to_plain(getattr(value, f.name), hints[f.name])
            for f in dataclasses.fields(value)
        }
        if annotation is not None and annotation is not type(value):
            plain = {"type": _type_name(type(value)), **plain}
        return plain
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Path | Call):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"A config holds {value!r} of type {type(value)}, which cannot be saved.")


def from_plain(annotation: Any, plain: Any, where: str = "config") -> Any:
    """The value of a type annotation from plain data; the inverse of :func:`to_plain`.

    Raises:
        ConfigError: for an unknown field, a wrong kind of value, or a class that is not a known
            subclass of what the field is annotated with.
    """
    if dataclasses.is_dataclass(annotation):
        return _dataclass_from_plain(annotation, plain, where)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        if not isinstance(plain, list):
            raise ConfigError(f"{where} should be a list, not {plain!r}.")
        kinds = [args[0]] * len(plain) if len(args) == 2 and args[1] is ... else args
        if len(kinds) != len(plain):
            raise ConfigError(f"{where} should have {len(kinds)} entries, not {plain!r}.")
        pairs = zip(kinds, plain, strict=True)
        return tuple(from_plain(kind, item, where) for kind, item in pairs)
    if origin is typing.Literal:
        if plain in args:
            return plain
        raise ConfigError(f"{where} should be one of {args}, not {plain!r}.")
    if origin in (typing.Union, types.UnionType):
        if plain is None and type(None) in args:
            return None
        return from_plain(next(a for a in args if a is not type(None)), plain, where)
    if annotation is Path and isinstance(plain, str):
        return Path(plain)
    if isinstance(annotation, type) and issubclass(annotation, Call) and isinstance(plain, str):
        return annotation.parse(plain, where)
    if annotation is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if type(plain) is annotation:
        return plain
    raise ConfigError(f"{where} should be of type {annotation.__name__}, not {plain!r}.")


def _dataclass_from_plain(annotation: type, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise ConfigError(f"{where} should be a mapping, not {plain!r}.")
    plain = dict(plain)
    kind = annotation
    if "type" in plain:
        wanted = plain.pop("type")
        known = {_type_name(c): c for c in _subclasses(annotation)}
        if wanted not in known:
            raise ConfigError(
                f"{where} is saved as {wanted}, which is no {annotation.__name__} known here"
                f" ({', '.join(known) or 'none'}); import its module first."
            )
        kind = known[wanted]
    hints = typing.get_type_hints(kind)
    names = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(plain) - names)
    if unknown:
        raise ConfigError(
            f"{where} has unknown fields {unknown}; {kind.__name__} has {sorted(names)}."
        )
    values = {n: from_plain(hints[n], v, f"{where}.{n}") for n, v in plain.items()}
    return kind(**values)


def _subclasses(base: type) -> list[type]:
    found = []
    for child in base.__subclasses__():
        found += [child, *_subclasses(child)]
    return [child for child in found if dataclasses.is_dataclass(child)]


def _type_name(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"

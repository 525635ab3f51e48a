"""Configs as plain data and back.

Plain data are mappings, lists, numbers, strings, true, false and null: what YAML and checkpoints
hold. Reading them makes dataclasses that this program has already imported, and nothing else, so
that a stranger's file runs no code. A subclass is saved by its class name, not by the module that
it lives in, and ``bev.compatibility`` holds what has been renamed or removed since: a saved config
outlives moves.
"""

import dataclasses
import difflib
import types
import typing
from pathlib import Path
from typing import Any

from bev import compatibility
from bev.calls import Call, subclasses
from bev.errors import ConfigError


class UnknownClassError(ConfigError):
    """A saved class that this program has not imported."""


def to_plain(value: Any, annotation: Any = None) -> Any:
    """Plain data of a config.

    Where a field holds a subclass of its annotation, the mapping also carries its class name as
    ``type``. A class of a library with arguments is its text, see ``bev.calls``.

    Raises:
        ConfigError: for a value that cannot be saved.
    """
    if dataclasses.is_dataclass(value):
        hints = typing.get_type_hints(type(value))
        plain = {
            f.name: to_plain(getattr(value, f.name), hints[f.name])
            for f in dataclasses.fields(value)
        }
        annotation = _without_none(annotation)
        if annotation is not None and annotation is not type(value):
            _check_name(annotation, type(value))
            plain = {"type": type(value).__name__, **plain}
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

    The class of a :class:`~bev.calls.Call` is looked up when it is built: evaluation needs no
    optimiser.

    Raises:
        ConfigError: for an unknown field, a wrong kind of value, or a setting that was removed.
        UnknownClassError: for a class that is not a known subclass of what the field is annotated
            with.
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
        return from_plain(_without_none(annotation), plain, where)
    if annotation is Path and isinstance(plain, str):
        return Path(plain)
    if isinstance(annotation, type) and issubclass(annotation, Call) and isinstance(plain, str):
        return annotation.parse(plain, where, look_up=False)
    if annotation is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if type(plain) is annotation:
        return plain
    raise ConfigError(f"{where} should be of type {annotation.__name__}, not {plain!r}.")


def differences(before: Any, after: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """The fields (dotted names) in which two configs differ, with the value in each."""
    if not dataclasses.is_dataclass(before) or type(before) is not type(after):
        return [] if before == after else [(where, before, after)]
    found = []
    for f in dataclasses.fields(before):
        name = f"{where}.{f.name}" if where else f.name
        found += differences(getattr(before, f.name), getattr(after, f.name), name)
    return found


def _dataclass_from_plain(annotation: type, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise ConfigError(f"{where} should be a mapping, not {plain!r}.")
    kind = annotation
    if "type" in plain:
        kind = _class_named(annotation, plain["type"], where)
        plain = {name: value for name, value in plain.items() if name != "type"}
    plain = compatibility.current_fields(kind, plain, where)
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    unknown = sorted(set(plain) - set(names), key=str)
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), names, 1)
        raise ConfigError(
            f"{where} has unknown fields {unknown}"
            f"{f' (did you mean {near[0]}?)' if near else ''}; {kind.__name__} has {sorted(names)}."
        )
    usual = {f.name: f.default for f in dataclasses.fields(kind)}
    values = {
        name: from_plain(hints[name], _typed(value, hints[name], usual[name]), f"{where}.{name}")
        for name, value in plain.items()
    }
    try:
        return kind(**values)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where} cannot be made: {error}") from error


def _typed(plain: Any, annotation: Any, usual: Any) -> Any:
    """A saved dataclass with its class named: that of the field's default, where none was saved.

    It was saved when the field was annotated with this class, and not yet with its base.
    """
    untyped = isinstance(plain, dict) and "type" not in plain
    if untyped and dataclasses.is_dataclass(annotation) and isinstance(usual, annotation):
        if type(usual) is not annotation:
            return {"type": type(usual).__name__, **plain}
    return plain


def _without_none(annotation: Any) -> Any:
    """The other type of an annotation ``X | None``; others as they are."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def _check_name(base: type, kind: type) -> None:
    """Refuse a class whose name another subclass has: read back, it might become that one."""
    for other in subclasses(base):
        if other.__name__ == kind.__name__ and _file_of(other) != _file_of(kind):
            raise ConfigError(
                f"{kind.__name__} of {kind.__module__} has the name of a class of"
                f" {other.__module__}, by which a config is saved; rename yours."
            )


def _file_of(kind: type) -> str:
    """The file that defines a dataclass: one that was run twice, as two modules, is still one."""
    names = kind.__init__.__globals__
    return str(
        names.get("__file__") if names.get("__name__") == kind.__module__ else kind.__module__
    )


def _class_named(base: type, saved: Any, where: str) -> type:
    """The subclass of ``base`` that was saved under a name.

    Of those that one file defined, run more than once, it is one of the latest run.
    """
    name = compatibility.current_class(str(saved))
    known = {child.__name__: child for child in subclasses(base) if dataclasses.is_dataclass(child)}
    if name not in known:
        raise UnknownClassError(
            f"{where} is saved as {name}, which is no {base.__name__} known here"
            f" ({', '.join(known) or 'none'}); if it is your own, name the file that defines it:"
            " --import FILE."
        )
    return known[name]

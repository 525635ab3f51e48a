"""Conversion of configs to plain data and back.

Plain data are mappings, lists, numbers, strings, true, false and null, as YAML files and
checkpoints contain them. Reading creates only dataclasses that are already imported, so a file from
an untrusted source runs no code. A subclass is saved by its class name without its module, and
``bev.compatibility`` lists renamed and removed names, so saved configs stay readable when code
moves.
"""

import dataclasses
import difflib
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bev import compatibility
from bev.calls import Call, subclasses
from bev.errors import ConfigError, shown
from bev.paths import url_of


class UnknownClassError(ConfigError):
    """A saved config refers to a class that is not imported."""


def to_plain(value: Any, annotation: Any = None) -> Any:
    """Convert a config to plain data.

    If the value of a field is a subclass of the field's annotation, the mapping also contains the
    class name as ``type``. A library class with arguments becomes its text, see ``bev.calls``.

    Raises:
        ConfigError: if a value cannot be saved.
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
    if isinstance(value, Path):
        return url_of(value) or str(value)
    if isinstance(value, Call):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(
        f"A config contains {shown(value)} of type {type(value)}, which cannot be saved."
    )


def from_plain(annotation: Any, plain: Any, where: str = "config") -> Any:
    """Convert plain data to a value of a type annotation; the inverse of :func:`to_plain`.

    The class of a :class:`~bev.calls.Call` is looked up only when the call is built, so that
    evaluation does not need the class of the optimizer.

    Args:
        annotation: type of the value.
        plain: plain data.
        where: dotted name of the setting, for messages.

    Raises:
        ConfigError: for an unknown field, a value of the wrong type, or a removed setting.
        UnknownClassError: if a saved class is not an imported subclass of the annotation.
    """
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _dataclass_from_plain(annotation, plain, where)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        if not isinstance(plain, list):
            raise ConfigError(f"{where} should be a list, not {shown(plain)}.")
        kinds = [args[0]] * len(plain) if len(args) == 2 and args[1] is ... else args
        if len(kinds) != len(plain):
            raise ConfigError(f"{where} should have {len(kinds)} entries, not {shown(plain)}.")
        pairs = zip(kinds, plain, strict=True)
        return tuple(from_plain(kind, item, where) for kind, item in pairs)
    if origin is typing.Literal:
        if plain in args:
            return plain
        raise ConfigError(f"{where} should be one of {args}, not {shown(plain)}.")
    if origin in (typing.Union, types.UnionType):
        if plain is None and type(None) in args:
            return None
        return from_plain(_without_none(annotation), plain, where)
    if annotation is Path and isinstance(plain, str):
        return Path(plain)
    if isinstance(annotation, type) and issubclass(annotation, Call) and isinstance(plain, str):
        return annotation.parse(plain, where, look_up=False)
    if annotation is float and isinstance(plain, int) and not isinstance(plain, bool):
        if plain.bit_length() > sys.float_info.max_exp - 1:
            raise ConfigError(f"{where} is {shown(plain)}, which is too large.")
        return float(plain)
    if type(plain) is annotation:
        return plain
    raise ConfigError(f"{where} should be of type {annotation.__name__}, not {shown(plain)}.")


def leaves(plain: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the settings of a plain config by their dotted names.

    Lists without mappings, and empty mappings, are values.
    """
    if isinstance(plain, Mapping) and plain:
        for key, part in plain.items():
            yield from leaves(part, f"{name}.{key}" if name else str(key))
    elif isinstance(plain, list) and any(isinstance(part, Mapping) for part in plain):
        for number, part in enumerate(plain):
            yield from leaves(part, f"{name}.{number}")
    else:
        yield name, plain


def differences(before: Any, after: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """List the fields (dotted names) in which two configs differ, with both values."""
    if not dataclasses.is_dataclass(before) or type(before) is not type(after):
        return [] if before == after else [(where, before, after)]
    found = []
    for f in dataclasses.fields(before):
        name = f"{where}.{f.name}" if where else f.name
        found += differences(getattr(before, f.name), getattr(after, f.name), name)
    return found


def _dataclass_from_plain(annotation: type, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise ConfigError(f"{where} should be a mapping, not {shown(plain)}.")
    if not all(isinstance(name, str) for name in plain):
        raise ConfigError(f"{where} has a setting whose name is no text: {shown([*plain])}.")
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
            f"{where} has unknown fields {shown(unknown)}"
            f"{f' (did you mean {near[0]}?)' if near else ''}; the fields of {kind.__name__} are"
            f" {sorted(names)}."
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
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ConfigError(f"{where} cannot be created: {error}") from error


def _typed(plain: Any, annotation: Any, usual: Any) -> Any:
    """Add the class of the field's default to a dataclass that was saved without ``type``.

    Such a config was saved when the field was annotated with the default's class, which is now
    replaced by a base class.
    """
    untyped = isinstance(plain, dict) and "type" not in plain
    is_class = isinstance(annotation, type) and dataclasses.is_dataclass(annotation)
    if untyped and is_class and isinstance(usual, annotation):
        if type(usual) is not annotation:
            return {"type": type(usual).__name__, **plain}
    return plain


def _without_none(annotation: Any) -> Any:
    """``X`` for an annotation ``X | None``; other annotations unchanged."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def _check_name(base: type, kind: type) -> None:
    """Reject a class that shares its name with another subclass: a saved name is ambiguous."""
    for other in subclasses(base):
        if other.__name__ == kind.__name__ and _file_of(other) != _file_of(kind):
            raise ConfigError(
                f"{kind.__name__} of {kind.__module__} has the name of a class of"
                f" {other.__module__}, and configs are saved by class name; rename yours."
            )


def _file_of(kind: type) -> str:
    """The file that defines a dataclass; the same if the file was run twice as two modules."""
    names = inspect.getattr_static(kind, "__init__").__globals__
    return str(
        names.get("__file__") if names.get("__name__") == kind.__module__ else kind.__module__
    )


def _class_named(base: type, saved: Any, where: str) -> type:
    """The subclass of ``base`` that was saved under a name.

    If one file was run more than once, the class of its latest run is returned.
    """
    name = compatibility.current_class(str(saved))
    known = {child.__name__: child for child in subclasses(base) if dataclasses.is_dataclass(child)}
    if name not in known:
        raise UnknownClassError(
            f"{where} is saved as {name[:80]}, which is no {base.__name__} known here"
            f" ({', '.join(known) or 'none'}); if it is a class of your own, import the file that"
            " defines it: --import FILE."
        )
    return known[name]

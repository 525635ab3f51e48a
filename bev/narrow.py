"""Options of a large default, parsed by the named fields alone.

tyro inspects every field of a dataclass before it parses: hundreds for an experiment, whose command
line usually names a handful. The fields that the arguments name form a small dataclass, which is
parsed in its place, in a tenth of the time.
"""

import dataclasses
import typing
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import tyro

_Options = TypeVar("_Options")
_Tree = dict[str, Any]  # None for a field, a tree for a dataclass

# No texts for --help are looked for, nor the source of the small dataclass.
_NO_HELP = (tyro.conf.HelptextFromCommentsOff,)
_NO_SOURCE = {"__module__": "builtins"}

_NO_PREFIX = tyro.conf.arg(name="")


def parse_named(default: _Options, arguments: Sequence[str]) -> _Options | None:
    """Parse arguments that change fields of a dataclass's instance.

    Args:
        default: the instance; nested dataclasses are reached by dotted flags.
        arguments: words of the command line.

    Returns:
        The changed instance; None unless every flag names one field by its full name and every
        value fits: all fields are then to be inspected, for the message.

    Raises:
        Exception: of the dataclasses, if they refuse the values.
    """
    named: _Tree = {}
    for word in arguments:
        if word.startswith("--") and not _add(named, default, word[2:].partition("=")[0]):
            return None
    if not named or arguments[0][:2] != "--":
        return None
    small = _narrowed(default, named)
    try:
        parsed = tyro.cli(
            type(small), default=small, args=arguments, console_outputs=False, config=_NO_HELP
        )
    except SystemExit:
        return None
    return _changed(default, parsed, named)


def _add(named: _Tree, default: Any, flag: str) -> bool:
    """Add the field of a flag to a tree of named fields; false if there is no such field."""
    *path, last = flag.replace("-", "_").split(".")
    first = path[0] if path else last
    for part in [*_without_prefix(default, first), *path]:
        default, below = getattr(default, part, None), named.setdefault(part, {})
        if below is None or not dataclasses.is_dataclass(default):
            return False
        named = below
    meant = [last, last.removeprefix("no_")]  # a switch is turned off by no_
    name = next((name for name in meant if name in _fields(default)), None)
    if name is None or dataclasses.is_dataclass(getattr(default, name)):
        return False
    named[name] = None
    return True


def _fields(default: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(default) if field.init}


def _without_prefix(default: Any, first: str) -> list[str]:
    """The field whose own name is no part of its flags, if the others do not have ``first``."""
    if first in _fields(default) or f"no_{first}" in _fields(default):
        return []
    marks = {name: typing.get_args(hint)[1:] for name, hint in _hints(default).items()}
    return [name for name, some in marks.items() if any(m == _NO_PREFIX for m in some)][:1]


def _hints(default: Any) -> dict[str, Any]:
    return typing.get_type_hints(type(default), include_extras=True)


def _narrowed(default: Any, named: _Tree) -> Any:
    """An instance of a dataclass that has the named fields alone."""
    hints, kinds, values = _hints(default), [], {}
    for name, below in named.items():
        value, hint = getattr(default, name), hints[name]
        if below is not None:
            value = _narrowed(value, below)
            marks = getattr(hint, "__metadata__", ())
            hint = Annotated[(type(value), *marks)] if marks else type(value)
        kinds.append((name, hint))
        values[name] = value
    small = dataclasses.make_dataclass("Named", kinds, frozen=True, namespace=_NO_SOURCE)
    return small(**values)


def _changed(default: Any, parsed: Any, named: _Tree) -> Any:
    """The default with the named fields of a parsed instance."""
    values = {name: getattr(parsed, name) for name in named}
    for name, below in named.items():
        if below is not None:
            values[name] = _changed(getattr(default, name), values[name], below)
    return dataclasses.replace(default, **values)

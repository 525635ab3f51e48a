"""Type annotations of settings: whether a value is of a type, and what it should be, in words."""

import typing
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal

UNIONS = (typing.Union, UnionType)

_WORDS: dict[Any, str] = {
    bool: "True or False",
    str: "a string",
    Path: "a Path",
    type: "a class",
    NoneType: "None",
}


def type_rule(hint: Any, value: Any) -> str:
    """Rule for a value by the type of its annotation; empty if it is of that type.

    Elements of tuples are not looked at. A bool is no number; a whole number is a float too.
    Annotations that ``isinstance`` does not know (TypedDict, a protocol) are taken as fulfilled.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return type_rule(args[0], value)
    if origin in UNIONS:
        rules = [type_rule(member, value) for member in args]
        return " or ".join(rules) if all(rules) else ""
    if origin is Literal:
        fits = any(type(value) is type(one) and value == one for one in args)
        return "" if fits else " or ".join(map(repr, args))
    kind = origin or hint
    if kind in (int, float):
        number = isinstance(value, int if kind is int else int | float)
        fits = number and not isinstance(value, bool)
        return "" if fits else "a whole number" if kind is int else "a number"
    if kind is Any or not isinstance(kind, type):
        return ""
    try:
        fits = isinstance(value, kind)
    except TypeError:
        return ""
    return "" if fits else _tuple(args, value) if kind is tuple else _named(kind)


def _tuple(args: tuple[Any, ...], value: Any) -> str:
    """Words for a tuple; one of any length is written out if the value could be its element."""
    if len(args) != 2 or args[1] is not ...:
        return f"a tuple of {len(args)} values" if args else "a tuple"
    one = "" if type_rule(args[0], value) else f", such as ({value!r},)"
    return f"a tuple{one if len(one) < 80 else ''}"


def _named(kind: type) -> str:
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    return _WORDS.get(kind, f"{article} {kind.__name__}")

"""Options of a command: parsed into a dataclass by its annotations, and checked by its bounds.

A message names an option by its flag, and comes before the command does anything.
"""

import typing
from collections.abc import Callable, Container, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tyro

from bev.bounds import Clash, Fault, described, faults, gathered
from bev.errors import ConfigError
from bev.narrow import parse_named

_Options = TypeVar("_Options")


def parse(
    kind: type[_Options],
    arguments: Sequence[str],
    prog: str,
    default: _Options | None = None,
    without: Container[str] = (),
) -> _Options:
    """Parse the arguments of a command.

    Args:
        kind: dataclass of the options.
        arguments: words of the command line.
        prog: name of the command in messages.
        default: options that the arguments change.
        without: fields that the command itself checks, such as the settings of an experiment.

    Raises:
        ConfigError: names all options that break a rule of :mod:`bev.bounds`.
        SystemExit: for an unknown or ill-typed option, after a message with similar flags.
    """
    known: dict[str, Any] = {} if default is None else {"default": default}
    with gathered():
        options = None if default is None else parse_named(default, arguments)
        if options is None:
            options = tyro.cli(kind, args=arguments, prog=prog, **known)
    return _checked(options, without)


def parse_known(
    kind: type[_Options], arguments: Sequence[str], prog: str
) -> tuple[_Options, list[str]]:
    """Parse the arguments of a command like :func:`parse`; returns also those that are unknown."""
    with gathered():
        options, rest = tyro.cli(kind, args=arguments, prog=prog, return_unknown_args=True)
    return _checked(options), rest


def parse_after_name(
    kind: type[_Options], arguments: Sequence[str], prog: str, what: str, example: str
) -> tuple[Path, _Options, list[str]]:
    """Parse ``CONFIG|WHAT`` and the options after it; returns also the unknown arguments.

    Args:
        kind: options of the command.
        arguments: arguments of the command line.
        prog: name of the command.
        what: what the first argument names if it is no config, such as "study".
        example: prog's first argument in the error.

    Raises:
        ConfigError: if the first argument is missing, or an option is invalid.
    """
    if arguments[:1] in (["-h"], ["--help"]):
        parse(kind, arguments, f"{prog} CONFIG|{what.upper()}")
    if not arguments or arguments[0].startswith("-"):
        raise ConfigError(f"Name a config or a {what} first: {prog} {example}")
    path = Path(arguments[0])
    return path, *parse_known(kind, arguments[1:], f"{prog} {path}")


def parse_subcommand(
    kinds: Mapping[str, Callable[..., Any]], arguments: Sequence[str], prog: str
) -> Any:
    """Parse a subcommand and its arguments like :func:`parse`, by the subcommands' dataclasses."""
    with gathered():
        options = tyro.extras.subcommand_cli_from_dict(dict(kinds), args=list(arguments), prog=prog)
    return _checked(options)


def _checked(options: Any, without: Container[str] = ()) -> Any:
    hints = typing.get_type_hints(type(options), include_extras=True)
    found = faults(options, without=without)
    named = [_flagged(one, hints) if isinstance(one, Fault) else one for one in found]
    if named:
        raise ConfigError(described(named))
    return options


def _flagged(fault: Fault, hints: Mapping[str, Any]) -> Fault | Clash:
    """The fault with the flag of the option for its name."""
    first, dot, rest = fault.name.partition(".")
    hidden = dot and tyro.conf.OmitArgPrefixes in typing.get_args(hints[first])
    name = rest if hidden else fault.name
    return fault._replace(name=f"--{name.replace('_', '-')}")

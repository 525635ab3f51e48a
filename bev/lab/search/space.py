"""Space of a search: the config fields that vary, their ranges, and when a field exists.

A field is named as on the command line (``train.lr``), and its values are checked as those of a
flag, see :func:`check_space`. A parameter that a flag cannot express is a :class:`Variants`: named
changes of the experiment, as in an ablation study. Conditions make a tree of the space: a parameter
with ``when`` exists only in trials in which another one has one of some values.
"""

from collections.abc import Callable, Mapping

from bev.bounds import described, faults
from bev.config import Experiment
from bev.errors import ConfigError
from bev.lab.ablation.variants import Change, apply
from bev.lab.search.parameters import (
    Choice,
    Float,
    Int,
    Parameter,
    Value,
    Variants,
    When,
    written,
)

Space = Mapping[str, Parameter]


def choose(space: Space, pick: Callable[[str, Parameter], Value]) -> dict[str, Value]:
    """Values of the parameters that exist, chosen one after another.

    Args:
        space: the space.
        pick: function of a parameter's name and the parameter that returns its value.
    """
    chosen: dict[str, Value] = {}
    for name, parameter in space.items():
        if parameter.when is None or parameter.when.holds(chosen):
            chosen[name] = pick(name, parameter)
    return chosen


def variant(space: Space, values: Mapping[str, Value]) -> tuple[Change, ...]:
    """Changes of the experiment that give the parameters their values, in the space's order."""
    return tuple(
        change
        for name, parameter in space.items()
        if name in values
        for change in parameter.change(name, values[name])
    )


def check_space(space: Space, base: Experiment) -> None:
    """Check the conditions of a space, and the ends of all ranges and all choices, one at a time.

    Raises:
        ConfigError: if the space is empty, a condition names no earlier choice, or a value does
            not fit its field.
        SystemExit: for an unknown or ill-typed flag, after a message that names the nearest flag.
    """
    if not space:
        raise ConfigError(
            "The search varies nothing: name a field, e.g. --vary train.lr=1e-4..1e-2:log."
        )
    names = list(space)
    for place, (name, parameter) in enumerate(space.items()):
        _check_condition(name, parameter.when, {n: space[n] for n in names[:place]})
    for name, parameter in space.items():
        for value in parameter.corners():
            values = {**_needed(space, name), name: value}
            where = f"{name}={value}"
            try:
                found = faults(apply(base, variant(space, values), where))
            except ConfigError as error:
                reason = str(error).removeprefix(f"Variant {where!r}: ")
                raise ConfigError(f"At {where} of the search, {reason}") from error
            if found:
                raise ConfigError(f"At {where} of the search, {described(found)}")


def parse_space(texts: tuple[str, ...]) -> dict[str, Parameter]:
    """Space from texts: ``field=low..high``, ``field=low..high:log``, ``:step``, ``field=a,b``.

    A range of whole numbers has whole numbers; ``1.0..8`` is one of any numbers.

    Raises:
        ConfigError: if a text has none of these forms, or names the field of another one.
    """
    space: dict[str, Parameter] = {}
    for text in texts:
        field_, equals, values = text.partition("=")
        name = field_.lstrip("-").replace("-", "_")
        parameter = _parsed(values) if name and equals else None
        if parameter is None:
            raise ConfigError(
                f"--vary {text} is none of field=low..high, field=low..high:log,"
                " field=low..high:step and field=value,value, e.g. train.lr=1e-4..1e-2:log."
            )
        if name in space:
            raise ConfigError(f"--vary names {name} twice; give all its values at once.")
        space[name] = parameter
    return space


def _parsed(text: str) -> Parameter | None:
    if ".." not in text:
        values = tuple(text.split(","))
        return Choice(values) if all(values) else None
    span, _, kind = text.partition(":")
    ends = span.split("..")
    log = kind == "log"
    try:
        low, high = (int(end) for end in ends)
        return Int(low, high, 1 if log or not kind else int(kind), log)
    except ValueError:
        pass
    try:
        first, last = (float(end) for end in ends)
    except ValueError:
        return None
    return Float(first, last, log) if log or not kind else None


def _check_condition(name: str, when: When | None, earlier: Space) -> None:
    if when is None:
        return
    parent = earlier.get(when.parameter)
    if not isinstance(parent, Choice | Variants):
        raise ConfigError(
            f"{name} exists when {when.parameter} has a value, which is no choice earlier in the"
            f" space; name one of {', '.join(earlier) or 'none'}."
        )
    unknown = sorted({written(value) for value in when.values} - set(parent.corners()))
    if unknown or not when.values:
        raise ConfigError(
            f"{name} exists when {when.parameter} is {', '.join(unknown) or 'nothing'}, which it"
            f" never is; choose among {parent.text()}."
        )


def _needed(space: Space, name: str) -> dict[str, Value]:
    """Values of the choices that a parameter depends on."""
    when = space[name].when
    if when is None:
        return {}
    return {**_needed(space, when.parameter), when.parameter: written(when.values[0])}

"""Bounds of settings: declared in the annotations of fields, checked over a whole config at once.

``epochs: Annotated[int, Bound(least=1)] = 24`` declares that ``epochs`` is at least 1. In a tuple,
the bound of the elements stands at the type of the elements, and a rule of the whole tuple around
it: ``Annotated[tuple[Count, ...], Ascending()]``. :func:`faults` lists every value of a config, at
any depth, that breaks a rule, has another type than its field, or is not finite.

What concerns several fields of a class is a method ``clashes``, which iterates over sentences.

Classes that are used without a whole config call :func:`check_bounds` or :func:`check_clashes` when
they are created. The commands create their config under :func:`gathered`, so that one message names
all faults.
"""

import math
import sys
import typing
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple

from bev.errors import ConfigError, shown
from bev.hints import UNIONS, type_rule

_gathering: ContextVar[bool] = ContextVar("gathering", default=False)


@dataclass(frozen=True)
class Bound:
    """Range of a number.

    Attributes:
        least, most: lowest and highest allowed number.
        above, below: lower and upper limit that are not allowed themselves.
        finite: whether infinity is refused. NaN always is.
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    finite: bool = True

    def accepts(self, value: float) -> bool:
        """Return whether a finite number is within the range."""
        inside = self.least <= value <= self.most
        low, high = self.above == -math.inf, self.below == math.inf
        return inside and (low or self.above < value) and (high or value < self.below)

    def __str__(self) -> str:
        limits = {
            "at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }
        return " and ".join(f"{name} {x:g}" for name, x in limits.items() if math.isfinite(x))


@dataclass(frozen=True)
class Ascending:
    """Order of a tuple of numbers: each is above (or, unless ``strict``, at least) the one before.

    Attributes:
        strict: whether equal neighbours are refused.
        empty: whether an empty tuple is allowed.
    """

    strict: bool = True
    empty: bool = True

    def accepts(self, values: tuple[float, ...]) -> bool:
        """Return whether a tuple is in order."""
        pairs = list(zip(values, values[1:], strict=False))
        ordered = all(a < b if self.strict else a <= b for a, b in pairs)
        return ordered and (self.empty or bool(values))

    def __str__(self) -> str:
        order = "ascending numbers" + (" without repetition" if self.strict else "")
        return order if self.empty else f"one or more {order}"


@dataclass(frozen=True)
class Length:
    """Numbers of elements that a tuple may have; at least ``least`` if ``allowed`` is empty."""

    allowed: tuple[int, ...] = ()
    least: int = 0

    def accepts(self, values: tuple[Any, ...]) -> bool:
        """Return whether a tuple has an allowed length."""
        return len(values) in self.allowed if self.allowed else len(values) >= self.least

    def __str__(self) -> str:
        if self.allowed:
            return f"{' or '.join(map(str, self.allowed))} numbers"
        return f"{self.least} or more numbers"


Count = Annotated[int, Bound(least=1)]
Natural = Annotated[int, Bound(least=0)]
Positive = Annotated[float, Bound(above=0)]
NonNegative = Annotated[float, Bound(least=0)]
Probability = Annotated[float, Bound(least=0, most=1)]
Seed = Annotated[int, Bound(least=0, below=2**32)]
Degrees = Annotated[float, Bound(least=0, most=180)]
Widths = Annotated[tuple[Count, ...], Length(least=1)]


class Fault(NamedTuple):
    """Setting that breaks a rule: its dotted name, its value, what that should be, and whether it
    is of another type than its field.
    """

    name: str
    value: Any
    rule: str
    mistyped: bool = False

    @property
    def text(self) -> str:
        """The fault as a sentence with its remedy."""
        return f"{self.name} is {shown(self.value)}; set it to {self.rule}."


class Clash(NamedTuple):
    """Settings of one object that do not fit together, as a sentence with its remedy."""

    text: str


@contextmanager
def gathered() -> Iterator[None]:
    """Context in which every settings object is accepted, for a check of the whole later."""
    token = _gathering.set(True)
    try:
        yield
    finally:
        _gathering.reset(token)


def check_bounds(config: Any, where: str | None = None) -> None:
    """Check a settings object and everything in it.

    Args:
        config: the settings object.
        where: beginning of the names of its fields; None for the name of its class.

    Raises:
        ConfigError: names all settings that break a rule, with their values and rules.
    """
    if _gathering.get():
        return
    if found := faults(config, type(config).__name__ if where is None else where):
        raise ConfigError(described(found))


def check_clashes(config: Any) -> None:
    """Check a settings object by its method ``clashes``, which iterates over sentences.

    Raises:
        ConfigError: with all of these sentences; if it fails, with the settings that break a rule.
    """
    if _gathering.get():
        return
    try:
        clashes = list(config.clashes())
    except Exception:
        check_bounds(config)
        raise
    if clashes:
        raise ConfigError(" ".join(clashes))


def check_types(config: Any) -> None:
    """Raise ConfigError for fields of another type, for a class that uses them when created."""
    kind: Any = type(config)
    rules = ((n, type_rule(h, getattr(config, n))) for n, h in _hints(kind).items())
    if found := [Fault(name, getattr(config, name), rule) for name, rule in rules if rule]:
        raise ConfigError(described(found))


def refusals(*checks: Callable[[], object]) -> Iterator[str]:
    """Iterate over the messages of the checks that raise a ConfigError."""
    for check in checks:
        try:
            check()
        except ConfigError as error:
            yield str(error)


def described(found: Sequence[Fault | Clash]) -> str:
    """One sentence on all settings outside their bounds, and those on settings that clash."""
    outside = [fault for fault in found if isinstance(fault, Fault)]
    sentences = [clash.text for clash in found if isinstance(clash, Clash)]
    if len(outside) == 1:
        sentences.insert(0, outside[0].text)
    elif outside:
        each = (f"{one.name} is {shown(one.value)} (set it to {one.rule})" for one in outside)
        sentences.insert(0, f"{len(outside)} settings cannot be used: {'; '.join(each)}.")
    return " ".join(sentences)


def faults(config: Any, where: str = "", without: Container[str] = ()) -> list[Fault | Clash]:
    """All faults of a settings object and of the objects in it.

    These include what the method ``clashes`` of an object finds, as far as it comes; it is not
    called with settings of another type.

    Args:
        config: the settings object.
        where: beginning of the names of its fields.
        without: fields that are left out.
    """
    kind: Any = type(config)
    own = kind.__module__.partition(".")[0] == "bev"
    found: list[Fault | Clash] = []
    for f in fields(config):
        name = f"{where}.{f.name}" if where else f.name
        if f.name not in without:
            found += _faults(_hints(kind)[f.name], getattr(config, f.name), name, own)
    if hasattr(kind, "clashes") and not any(getattr(one, "mistyped", False) for one in found):
        with suppress(Exception) if found else nullcontext():
            found.extend(map(Clash, config.clashes()))
    return found


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind, include_extras=True)


def _faults(hint: Any, value: Any, name: str, finite: bool) -> list[Fault | Clash]:
    """Faults of a value with an annotation, by the dotted name of its field.

    ``finite`` refuses infinity where the annotation does not decide: it may have a meaning in
    classes of users.
    """
    rules, hint = _rules(hint, value)
    if rule := type_rule(hint, value):
        return [Fault(name, value, rule, mistyped=True)]
    if is_dataclass(value) and not isinstance(value, type):
        return faults(value, name)
    if isinstance(value, tuple | list):
        return _tuple_faults(rules, hint, tuple(value), name, finite)
    rule = _number_rule(rules, value, finite)
    return [Fault(name, value, rule)] if rule else []


def _rules(hint: Any, value: Any) -> tuple[list[Any], Any]:
    """The rules around a type, and the type without them; of a union the member of the value."""
    rules = []
    while True:
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        member = next((a for a in args if not type_rule(a, value)), None)
        if origin is Annotated:
            rules += [rule for rule in args[1:] if isinstance(rule, Bound | Ascending | Length)]
            hint = args[0]
        elif origin in UNIONS and member is not None:
            hint = member
        else:
            return rules, hint


def _tuple_faults(
    rules: list[Any], hint: Any, values: tuple[Any, ...], name: str, finite: bool
) -> list[Fault | Clash]:
    args = typing.get_args(hint)
    kinds = [args[0]] * len(values) if len(args) == 2 and args[1] is ... else list(args)
    if typing.get_origin(hint) is tuple and len(kinds) != len(values):
        return [Fault(name, values, f"{len(kinds)} values")]
    kinds = kinds if len(kinds) == len(values) else [Any] * len(values)
    found: list[Fault | Clash] = []
    for kind, value in zip(kinds, values, strict=True):
        found += _faults(kind, value, name, finite)
    plain = all(isinstance(value, int | float | str) for value in values)
    if found and plain:  # one fault with the whole tuple instead of one for each element
        outside = [fault for fault in found if isinstance(fault, Fault)]
        each = ", ".join(dict.fromkeys(fault.rule for fault in outside))
        mistyped = any(fault.mistyped for fault in outside)
        return [Fault(name, values, f"values that are each {each}", mistyped)]
    broken = [] if found else [rule for rule in rules if not rule.accepts(values)]
    return found + [Fault(name, values, str(rule)) for rule in broken]


def _number_rule(rules: list[Any], value: Any, finite: bool) -> str:
    """The rule that a number breaks; empty for none, and for other values than numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    bounds = [rule for rule in rules if isinstance(rule, Bound)]
    needs = any(bound.finite for bound in bounds) if bounds else finite
    beyond = abs(value) > sys.float_info.max  # infinite, or a whole number that no float can hold
    if value != value or (beyond and (needs or isinstance(value, int))):
        kind = "finite" if needs or isinstance(value, int) else ""
        return " and ".join(filter(None, (kind, *map(str, bounds)))) or "a number"
    return " and ".join(str(bound) for bound in bounds if not bound.accepts(value))

"""Parameters of a search: ranges of numbers, choices, and the conditions under which they exist."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bev.bounds import Count, check_bounds, check_clashes
from bev.lab.ablation.variants import Axis, Change, changes, vary

if TYPE_CHECKING:
    from optuna import Trial

Value = float | int | str  # as stored: numbers, and choices as they are written


@dataclass(frozen=True)
class When:
    """Condition that a parameter exists: an earlier one has one of some values.

    Attributes:
        parameter: name of a ``Choice`` or ``Variants`` that stands earlier in the space.
        values: values of it, as given there.
    """

    parameter: str
    values: tuple[Any, ...]

    def holds(self, chosen: Mapping[str, Value]) -> bool:
        """Return whether the condition holds among the values chosen so far."""
        return chosen.get(self.parameter) in [written(value) for value in self.values]

    def text(self) -> str:
        """Condition in words, for messages and pages."""
        return f"{self.parameter} is {' or '.join(map(written, self.values))}"


@dataclass(frozen=True)
class Parameter:
    """A parameter of the space.

    Attributes:
        when: condition under which the parameter exists; None for always.
    """

    when: When | None = field(default=None, kw_only=True)

    def suggest(self, trial: "Trial", name: str) -> Value:
        """Let the sampler choose a value."""
        raise NotImplementedError

    def corners(self) -> tuple[Value, ...]:
        """Values that are tried before the search: the ends of a range, or all choices."""
        raise NotImplementedError

    def change(self, name: str, value: Value) -> tuple[Change, ...]:
        """Changes of the experiment that give it a value."""
        return changes(next(iter(vary(name, written(value)).values())))

    def text(self) -> str:
        """Range in words, for messages and pages."""
        raise NotImplementedError


@dataclass(frozen=True)
class Float(Parameter):
    """Range of a number.

    Attributes:
        low, high: ends of the range, both included.
        log: draw the logarithm, for ranges over orders of magnitude.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about an impossible range."""
        yield from _range_faults(self.low, self.high, self.log)

    def suggest(self, trial: "Trial", name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def corners(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    def text(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Int(Parameter):
    """Range of a whole number.

    Attributes:
        low, high: ends of the range, both included.
        step: distance of the values from ``low`` on.
        log: draw the logarithm; only with a step of 1.
    """

    low: int
    high: int
    step: Count = 1
    log: bool = False

    def __post_init__(self) -> None:
        check_bounds(self)
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about an impossible range."""
        yield from _range_faults(self.low, self.high, self.log)
        if self.log and self.step != 1:
            yield f"The range {self.text()} has a step; leave out the step, or log."
        elif (self.high - self.low) % self.step:
            yield (
                f"The range {self.text()} does not end at a step; set its high to"
                f" {self.high - (self.high - self.low) % self.step}."
            )

    def suggest(self, trial: "Trial", name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def corners(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    def text(self) -> str:
        step = f" in steps of {self.step}" if self.step != 1 else ""
        return f"{self.low} to {self.high}{step}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Choice(Parameter):
    """A few values.

    Attributes:
        values: numbers, switches, tuples, or texts as on the command line.
    """

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about choices that are none."""
        if len(set(self.corners())) != len(self.values) or len(self.values) < 2:
            yield f"A choice among {self.text()} needs two or more different values."

    def suggest(self, trial: "Trial", name: str) -> str:
        return str(trial.suggest_categorical(name, self.corners()))

    def corners(self) -> tuple[str, ...]:
        return tuple(map(written, self.values))

    def text(self) -> str:
        return " | ".join(self.corners()) or "nothing"


@dataclass(frozen=True)
class Variants(Parameter):
    """Named changes of the experiment, which need not be fields.

    Attributes:
        variants: changes by name, see ``bev.lab.ablation.variants``; ``""`` changes nothing.
    """

    variants: Axis

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about choices that are none."""
        if len(self.variants) < 2:
            yield f"A choice among {self.text()} needs two or more variants."

    def suggest(self, trial: "Trial", name: str) -> str:
        return str(trial.suggest_categorical(name, self.corners()))

    def corners(self) -> tuple[str, ...]:
        return tuple(self.variants)

    def change(self, name: str, value: Value) -> tuple[Change, ...]:
        return changes(self.variants[str(value)])

    def text(self) -> str:
        return " | ".join(self.variants) or "nothing"


def written(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return " ".join(map(written, value))
    return repr(value) if isinstance(value, float) else str(value)


def _range_faults(low: float, high: float, log: bool) -> Iterator[str]:
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        yield f"A range from {low} to {high} is none; its low must be below its high."
    elif log and low <= 0:
        yield f"A range from {low} has no logarithm; set its low above 0, or leave out log."

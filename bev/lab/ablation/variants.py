"""Variants of a base experiment: named changes, and axes of variants and their combination.

A change is a text of command-line flags (``"--train.lr 1e-3"``; applies to any base), a function
from experiment to experiment (for changes that flags cannot express), or a complete experiment. A
variant is one or several changes, applied one after another. An axis maps names to variants; the
combination of axes contains every combination of their names, with the changes joined.
"""

import itertools
import shlex
from collections.abc import Callable, Mapping

from bev.config import Experiment, override
from bev.errors import ConfigError

Change = str | Experiment | Callable[[Experiment], Experiment]
Variant = Change | tuple[Change, ...]
Axis = Mapping[str, Variant]

BASE = "base"


def vary(field: str, *values: str, name: str = "") -> dict[str, Variant]:
    """Axis of one field's values, each written as on the command line after the flag.

    ``vary("data.image_size", "128 352", "256 704")`` gives two variants, named ``image_size=128
    352`` and ``image_size=256 704``.

    Args:
        field: dotted name of a config field, with underscores or hyphens.
        values: values of the field; "true" and "false" for switches.
        name: name of the field in the variants' names; defaults to the field's last part.
    """
    name = name or field.rpartition(".")[2].replace("-", "_")
    return {f"{name}={value}": _flag(field, value) for value in values}


def grid(*axes: Axis) -> dict[str, Variant]:
    """Every combination of the axes' variants; the last axis varies fastest."""
    combined: dict[str, Variant] = {}
    for combination in itertools.product(*(axis.items() for axis in axes)):
        name = ", ".join(name for name, _ in combination)
        combined[name] = tuple(change for _, variant in combination for change in changes(variant))
    return combined


def one_at_a_time(*axes: Axis) -> dict[str, Variant]:
    """The base, and each variant of each axis by itself."""
    return {BASE: ""} | {name: variant for axis in axes for name, variant in axis.items()}


def parse_axes(texts: tuple[str, ...]) -> list[dict[str, Variant]]:
    """Axes from texts ``field=value,value,...``.

    Each axis is named by the shortest ending of its field's name that is unique among the fields.

    Raises:
        ConfigError: if a text does not have this form, or names the field of another one.
    """
    pairs = []
    for text in texts:
        field, equals, values = text.partition("=")
        if not (field and equals and all(values.split(","))):
            raise ConfigError(
                f"--vary {text} is not of the form field=value,value, e.g. train.lr=1e-3,2e-3."
            )
        pairs.append((field.lstrip("-").replace("-", "_"), values.split(",")))
    fields = [field for field, _ in pairs]
    twice = sorted({field for field in fields if fields.count(field) > 1})
    if twice:
        raise ConfigError(f"--vary names {twice[0]} twice; give all its values at once.")
    return [vary(field, *values, name=_short(field, fields)) for field, values in pairs]


def apply(base: Experiment, variant: Variant, name: str) -> Experiment:
    """Apply a variant's changes to the base experiment.

    Args:
        base: the experiment to change.
        variant: one or several changes.
        name: name of the variant in error messages.

    Raises:
        SystemExit: for an unknown or ill-typed flag, after a message that names the nearest flag.
        ConfigError: if the parts of the changed experiment contradict each other.
    """
    config = base
    for change in changes(variant):
        try:
            if isinstance(change, str):
                config = override(config, shlex.split(change), name)
            elif isinstance(change, Experiment):
                config = change
            else:
                config = change(config)
        except (ConfigError, ValueError) as error:
            raise ConfigError(f"Variant {name!r}: {error}") from error
        if not isinstance(config, Experiment):
            raise ConfigError(f"Variant {name!r} returns {config!r}, which is not an Experiment.")
    return config


def changes(variant: Variant) -> tuple[Change, ...]:
    """Changes of a variant, in order."""
    return variant if isinstance(variant, tuple) else (variant,)


def _flag(field: str, value: str) -> str:
    flag = "--" + field.replace("_", "-")
    if value in ("true", "false"):
        parent, _, last = flag.rpartition(".")
        return flag if value == "true" else f"{parent}.no-{last}"
    return f"{flag} {value}"


def _short(field: str, fields: list[str]) -> str:
    parts = field.split(".")
    for count in range(1, len(parts)):
        short = ".".join(parts[-count:])
        if not any(other != field and f".{other}".endswith(f".{short}") for other in fields):
            return short
    return field

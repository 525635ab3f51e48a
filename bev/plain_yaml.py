"""Reading of YAML that others wrote, within bounds of time and memory.

YAML nests without limit, and a few lines can stand for gigabytes: an alias repeats a part of the
file, and the repeated part may contain aliases itself.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

_BYTES = 1 << 20  # of a YAML file; a saved config has ten to thirty thousand
_DEPTH = 40  # of nested lists and mappings in YAML; a saved config has ten
_VALUES = 100_000  # in a YAML file, with aliases replaced; a saved config has about a thousand

# libyaml, where PyYAML comes with it: reads in a ninth of the time.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(path: Path, several: bool = False) -> Any:
    """Read a YAML file of at most 1 MiB, 40 levels and 100,000 values.

    Args:
        path: file.
        several: the file may hold several documents, of which the first is read.

    Raises:
        ValueError: with the reason in one line, if the file is not UTF-8 or not YAML, is too large,
            or contains another type than mappings, lists, numbers, text, booleans and null.
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_BYTES + 1)
    if len(content) > _BYTES:
        raise ValueError(f"it has more than {_BYTES >> 20} MiB, which no config has")
    try:
        text = content.decode()
        _check_size(yaml.parse(text, _Loader))
        if several:
            return next(iter(yaml.load_all(text, _Loader)), None)
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error  # the message has several lines
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8: {error}") from error
    # What PyYAML raises for a scalar without the form of its tag, such as the date 2026-99-99.
    except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _check_size(events: Iterable[yaml.Event]) -> None:
    """Count the values of a file with its aliases replaced, without building them.

    Raises:
        ValueError: if there are too many, or they are nested too deeply.
    """
    inside: list[tuple[str | None, int]] = []  # anchor of each open collection, count before it
    size_of: dict[str, int] = {}
    count = 0
    for event in events:
        before = count
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in size_of:
                count += size_of[event.anchor]
            elif any(event.anchor == anchor for anchor, _ in inside):
                raise ValueError(f"the alias *{str(event.anchor)[:40]} contains itself")
        elif isinstance(event, yaml.CollectionStartEvent):
            count += 1
            inside.append((event.anchor, before))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = inside.pop()
            if anchor is not None:
                size_of[anchor] = count - before
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor is not None:
                size_of[event.anchor] = 1
        if count > _VALUES or len(inside) > _DEPTH:
            raise ValueError(
                f"it has more than {_DEPTH} levels or {_VALUES:,} values, which no config has"
            )

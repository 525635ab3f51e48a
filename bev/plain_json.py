"""Reading of JSON that others wrote."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bev.errors import BevError

_T = TypeVar("_T")


def is_number(value: object) -> bool:
    """Return whether a value is a finite number in the range of a float; truth values are not."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def load_json(content: bytes | str) -> Any:
    """Parse JSON; nesting that Python cannot parse is a ValueError as any other fault.

    Raises:
        ValueError: if the content is not JSON.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def read_json(path: Path, use: Callable[[Any], _T], error: type[BevError], remedy: str) -> _T:
    """Read a file of a run; whatever is wrong with it is one error.

    Args:
        path: JSON file.
        use: function from its content to the result.
        error: class of the error.
        remedy: what to do, the end of the message.

    Raises:
        BevError: of class ``error``, if the file cannot be read, is not JSON, or ``use`` fails.
    """
    try:
        return use(load_json(path.read_bytes()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as fault:
        why = " ".join(f"{type(fault).__name__}: {fault}".split())[:200]
        raise error(f"{path} cannot be read ({why}); {remedy}") from fault

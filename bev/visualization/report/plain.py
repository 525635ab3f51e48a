"""Plain numbers, lists and mappings of a report's content, as its JSON holds them."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_MARKUP = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def script_json(content: Any) -> str:
    """JSON for the inside of a ``<script>`` element: plain ASCII, without any character of markup.

    Whatever names the content has, the element ends where the page ends it, and line separators
    (U+2028), marks of direction and the like are escapes.
    """
    text = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_MARKUP)


def number(value: float, digits: int = 5) -> float | None:
    """A number with a few significant digits; None where it is not defined."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def numbers(values: Sequence[float] | np.ndarray, digits: int = 5) -> list[float | None]:
    """Numbers with a few significant digits."""
    return [number(float(value), digits) for value in values]


def named(values: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers by name."""
    return {name: number(float(value)) for name, value in values.items()}

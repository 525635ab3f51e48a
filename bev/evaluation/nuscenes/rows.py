"""Check of the rows of a nuScenes results file, which may come from any program.

The devkit asserts some of these rules, and fails in others later or not at all: a size of 0 is an
assertion within its matching, and a box listed under the token of another sample is scored there.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.errors import SubmissionError, shown
from bev.plain_json import is_number


class _Rule(NamedTuple):
    """Rule of a field: a function that accepts its value, and what it accepts."""

    accepts: Callable[[Any], bool]
    wanted: str


def _are_numbers(value: object, length: int) -> bool:
    return isinstance(value, list) and len(value) == length and all(map(is_number, value))


def _is_velocity(value: object) -> bool:
    """Return whether a value is a velocity, NaN where it is unknown."""
    known = [0.0 if _is_nan(part) else part for part in value] if isinstance(value, list) else None
    return _are_numbers(known, 2)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


_RULES = {
    "translation": _Rule(lambda value: _are_numbers(value, 3), "three finite numbers"),
    "size": _Rule(
        lambda value: _are_numbers(value, 3) and min(value) > 0, "three finite numbers above 0"
    ),
    "rotation": _Rule(
        lambda value: _are_numbers(value, 4) and any(value), "a quaternion of four finite numbers"
    ),
    "velocity": _Rule(_is_velocity, "two finite numbers"),
    "detection_name": _Rule(
        lambda value: isinstance(value, str) and value in CLASSES, f"one of {', '.join(CLASSES)}"
    ),
    "detection_score": _Rule(is_number, "a finite number"),
    "attribute_name": _Rule(
        lambda value: isinstance(value, str) and (not value or value in ATTRIBUTES),
        f"empty or one of {', '.join(ATTRIBUTES)}",
    ),
    "num_pts": _Rule(
        lambda value: type(value) is int and abs(value) < 2**63, "a whole number of 64 bits"
    ),
}
_OPTIONAL = ("num_pts",)  # lidar and radar points: as in the devkit, a box of 0 does not count


def check_rows(file: object, token: str, rows: object) -> None:
    """Check the boxes of one sample of a results file.

    Args:
        file: the file, for the message.
        token: token of the sample.
        rows: value of the sample in the file.

    Raises:
        SubmissionError: names the sample, the box and the field of the first row that cannot be
            scored.
    """
    if not isinstance(rows, list):
        raise SubmissionError(
            f"Results file {file} has {shown(rows)} for sample {token}; give a list of boxes, an"
            " empty one if nothing was detected."
        )
    for number, row in enumerate(rows):
        if fault := _fault(token, row):
            raise SubmissionError(f"Results file {file}, sample {token}, box {number}: {fault}.")


def _fault(token: str, row: object) -> str:
    if not isinstance(row, dict):
        return f"it is {shown(row)}, not a mapping of fields"
    for name, rule in _RULES.items():
        if name not in row and name in _OPTIONAL:
            continue
        if name not in row:
            return f"it lacks {name!r}; give {rule.wanted}"
        if not rule.accepts(row[name]):
            return f"{name!r} is {shown(row[name])}; give {rule.wanted}"
    if row.get("sample_token") != token:
        return f"'sample_token' is {shown(row.get('sample_token'))}; give the token of its sample"
    return ""

"""Scores of one head on one split."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Files that an evaluation of boxes writes, in the format of the devkit.
SUMMARY, DETAILS = "metrics_summary.json", "metrics_details.json"


@dataclass(frozen=True)
class Scores:
    """Scores of the evaluation of a head.

    Attributes:
        figures: figures by name, in the order in which they are shown.
        classes: value of each column ("AP", ...), by class; NaN if it is not defined. Empty for
            heads without classes.
        note: definition of the figures, if it is needed to compare them; otherwise empty.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""


def read_details(out_dir: Path | str) -> dict[str, dict[str, list[float]]]:
    """Read the curves that an evaluation wrote to ``out_dir``.

    Returns:
        For each ``class:distance`` (e.g. ``car:0.5``): ``recall``, ``precision``, ``confidence``
        and the five errors, each 101 numbers over recall 0 to 1.
    """
    return json.loads((Path(out_dir) / DETAILS).read_bytes())

"""The figures of one head on one split, and what is shown of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Files that an evaluation of boxes leaves, in the devkit's format.
SUMMARY, DETAILS = "metrics_summary.json", "metrics_details.json"


@dataclass(frozen=True)
class Scores:
    """Figures of the evaluation of a head.

    Attributes:
        figures: by name, in the order that they are shown in.
        classes: by class, the value of each column ("AP", ...); NaN where one has no meaning, and
            empty for heads without classes.
        note: definition of the figures, where it is needed to compare them; else empty.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""


def read_details(out_dir: Path | str) -> dict[str, dict[str, list[float]]]:
    """The curves that an evaluation left in ``out_dir``.

    Returns:
        By ``class:distance`` (e.g. ``car:0.5``): ``recall``, ``precision``, ``confidence`` and the
        five errors, each 101 numbers over recall 0 to 1.
    """
    return json.loads((Path(out_dir) / DETAILS).read_bytes())

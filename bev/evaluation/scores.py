"""Scores of one head on one split."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bev.errors import SubmissionError
from bev.files import replacing
from bev.plain_json import read_json

# Files that an evaluation of boxes writes, in the format of the devkit.
SUMMARY, DETAILS = "metrics_summary.json", "metrics_details.json"
EVALUATE_AGAIN = "delete it, and evaluate again."  # if one of them cannot be read


@dataclass(frozen=True)
class Scores:
    """Scores of the evaluation of a head.

    Attributes:
        figures: figures by name, in the order in which they are shown.
        classes: value of each column ("AP", ...), by class; NaN if it is not defined. Empty for
            heads without classes.
        note: definition of the figures, if it is needed to compare them; otherwise empty.
        num_gt: number of ground-truth boxes that count, by class; empty if the scores were read
            from a file.
    """

    figures: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""
    num_gt: Mapping[str, int] = field(default_factory=dict, repr=False)


def write_scores(folder: Path, summary: dict, details: dict) -> None:
    """Write both files to the folder of an evaluation, which is created if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((SUMMARY, summary), (DETAILS, details)):
        with replacing(folder / name) as partial:
            partial.write_text(json.dumps(content, indent=2))


def read_details(out_dir: Path | str) -> dict[str, dict[str, list[float]]]:
    """Read the curves that an evaluation wrote to ``out_dir``.

    Returns:
        For each ``class:distance`` (e.g. ``car:0.5``): ``recall``, ``precision``, ``confidence``
        and the five errors, each 101 numbers over recall 0 to 1.
    """
    path = Path(out_dir) / DETAILS
    return read_json(path, lambda content: content, SubmissionError, EVALUATE_AGAIN)

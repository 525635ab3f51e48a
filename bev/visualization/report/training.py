"""Curves of a training run, from its ``metrics.csv``."""

import csv
import math
from pathlib import Path
from typing import Any

from bev.visualization.report.plain import numbers

METRICS = "metrics.csv"
MOST_POINTS = 1000  # of a curve; longer ones are thinned out

# Chart of a column by the beginning or a part of its name; the first that applies.
_CHARTS = (
    ("gradients", "Gradient norms", "grad"),
    ("rates", "Learning rates", "lr"),
    ("losses", "Losses", "train/"),
    ("validation", "Validation figures", "val/"),
)


def training_curves(folder: Path) -> list[dict[str, Any]]:
    """Charts of the columns that a run logged over its steps; empty without a ``metrics.csv``.

    Each chart has a name, a title, and its curves: name, steps and values.
    """
    path = folder / METRICS
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        columns = _columns(csv.DictReader(file))
    charts: dict[str, dict[str, Any]] = {
        name: {"name": f"training-{name}", "title": title, "curves": []}
        for name, title, _ in _CHARTS
    }
    for column, (steps, values) in columns.items():
        chart = next((name for name, _, part in _CHARTS if part in column), None)
        if chart is not None:
            stride = math.ceil(len(steps) / MOST_POINTS)
            charts[chart]["curves"].append(
                {
                    "name": column,
                    "steps": steps[::stride],
                    "values": numbers(values[::stride]),
                }
            )
    order = ("losses", "rates", "gradients", "validation")
    return [charts[name] for name in order if charts[name]["curves"]]


def _columns(rows: csv.DictReader) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of each column; cells that are no numbers are left out."""
    found: dict[str, tuple[list[int], list[float]]] = {}
    for row in rows:
        try:
            step = int(float(row.get("step") or ""))
        except (ValueError, OverflowError):
            continue
        for name, text in row.items():
            if name in (None, "step", "epoch") or not isinstance(text, str) or not text:
                continue
            try:
                value = float(text)
            except ValueError:
                continue
            steps, values = found.setdefault(name, ([], []))
            steps.append(step)
            values.append(value)
    return found

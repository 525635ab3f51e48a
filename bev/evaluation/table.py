"""The official figures as a text table."""

import math
from collections.abc import Mapping

from bev.data.nuscenes.classes import CLASSES
from bev.evaluation.official import ERROR_NAMES, Metrics

CLASS_COLUMNS = ("AP", *(name[1:] for name in ERROR_NAMES.values()))


def class_rows(metrics: Metrics) -> list[tuple[str, list[str]]]:
    """One row a class: its name, then AP and the five errors as text ('-' for no meaning)."""
    rows = []
    for name in CLASSES:
        errors = metrics.class_errors[name]
        values = [metrics.class_ap[name], *(errors[error] for error in ERROR_NAMES)]
        rows.append((name, ["-" if math.isnan(v) else f"{v:.3f}" for v in values]))
    return rows


def metrics_table(metrics: Metrics | None, figures: Mapping[str, float] | None = None) -> str:
    """The headline figures and one line a class, aligned, without a trailing line break.

    ``figures`` are others than the official ones, a line each below the headline; they stand alone
    where nothing was detected.
    """
    others = [f"{name:<22}{value:8.4f}" for name, value in (figures or {}).items()]
    if metrics is None:
        return "\n".join(others)
    scalars = metrics.scalars()
    lines = [
        "".join(f"{name:>8}" for name in scalars),
        "".join(f"{value:8.4f}" for value in scalars.values()),
        *others,
        "",
        f"{'class':<22}" + "".join(f"{name:>8}" for name in CLASS_COLUMNS),
    ]
    for name, cells in class_rows(metrics):
        lines.append(f"{name:<22}" + "".join(f"{cell:>8}" for cell in cells))
    return "\n".join(lines)

"""The official figures for people: a text table and a picture of the precision-recall curves."""

import math
from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bev.data.classes import CLASSES
from bev.evaluation.official import ERROR_NAMES, Metrics

CLASS_COLUMNS = ("AP", *(name[1:] for name in ERROR_NAMES.values()))
_DISTANCE_COLORS = ("#7fd4c1", "#39a9b0", "#2274a5", "#1b3b6f")


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


def draw_pr_curves(details: Mapping[str, Mapping[str, list[float]]], path: Path | str) -> Path:
    """Draw precision over recall, one panel a class with the four distance thresholds, as PNG.

    Args:
        details: from ``read_details``. As in the devkit's metric, precision is that of recall
            0 to 1 in steps of 0.01, zero beyond what was found.
        path: the PNG; its folder is made where needed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(14, 5.6), dpi=110, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 5, sharex=True, sharey=True)
    for axis, name in zip(axes.flat, CLASSES, strict=True):
        _draw_class(axis, name, details)
    for axis in axes[-1]:
        axis.set_xlabel("recall", color="#555555")
    for axis in axes[:, 0]:
        axis.set_ylabel("precision", color="#555555")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=10
    )
    figure.savefig(path)
    return path


def _draw_class(axis, name: str, details: Mapping[str, Mapping[str, list[float]]]) -> None:
    curves = {
        float(key.split(":")[1]): details[key] for key in details if key.split(":")[0] == name
    }
    for color, distance in zip(_DISTANCE_COLORS, sorted(curves), strict=True):
        curve = curves[distance]
        axis.plot(curve["recall"], curve["precision"], color=color, label=f"within {distance:g} m")
    axis.set_title(name.replace("_", " "), fontsize=11, loc="left")
    axis.set(xlim=(0, 1), ylim=(0, 1), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    # The metric leaves out recall and precision below 0.1.
    axis.axvspan(0, 0.1, color="#f1f1f1", lw=0, zorder=0)
    axis.axhspan(0, 0.1, color="#f1f1f1", lw=0, zorder=0)
    axis.grid(color="#e4e4e4", lw=0.7)
    axis.tick_params(length=0, labelsize=9, colors="#555555")
    for side in axis.spines.values():
        side.set_visible(False)

"""Charts of the precision-recall curves of an evaluation of boxes."""

import math
from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bev.evaluation.scores import DETAILS, read_details

_DISTANCE_COLORS = ("#7fd4c1", "#39a9b0", "#2274a5", "#1b3b6f")


def draw_pr_curves(details: Mapping[str, Mapping[str, list[float]]], path: Path | str) -> Path:
    """Draw precision over recall as PNG: one panel per class with the four distance thresholds.

    Args:
        details: curves, from ``read_details``. As in the metric of the devkit, precision is given
            at recall 0 to 1 in steps of 0.01, and is zero beyond the highest recall reached.
        path: PNG file; its folder is created if needed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(key.rpartition(":")[0] for key in details))
    columns = min(len(names), 5)
    rows = math.ceil(len(names) / columns)
    size = (2.8 * max(columns, 2), 2.8 * rows)
    figure = Figure(figsize=size, dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    # Fixed margins: "constrained" would lay the figure out three times.
    figure.subplots_adjust(
        left=0.5 / size[0], right=1 - 0.15 / size[0], top=1 - 0.35 / size[1],
        bottom=0.85 / size[1], wspace=0.12, hspace=0.22,
    )  # fmt: skip
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    for axis, name in zip(axes.flat, names, strict=False):
        _draw_class(axis, name, details)
    for axis in axes[-1]:
        axis.set_xlabel("recall", color="#555555")
    for axis in axes[:, 0]:
        axis.set_ylabel("precision", color="#555555")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncols=len(labels), frameon=False, fontsize=10
    )
    figure.savefig(path)
    return path


def draw_evaluation(folder: Path) -> Path | None:
    """Draw the curves of an evaluation folder to ``pr_curves.png``; None if there are none."""
    if not (folder / DETAILS).is_file():
        return None
    return draw_pr_curves(read_details(folder), folder / "pr_curves.png")


def _draw_class(axis, name: str, details: Mapping[str, Mapping[str, list[float]]]) -> None:
    curves = {
        float(key.rpartition(":")[2]): details[key]
        for key in details
        if key.rpartition(":")[0] == name
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

"""Figures of runs for papers, as vector graphics: training curves and precision-recall curves.

They are light and have the width of a page; a legend names the colours where there are several.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from bev.evaluation.detection.metrics import DISTANCES, ERROR_DISTANCE
from bev.files import replacing
from bev.visualization.report.comparison import Compared

_WIDTH, _PANEL = 7.2, 1.65  # inches: of a figure, height of a panel
_TEXT, _FAINT, _GRID = "#222222", "#555555", "#e4e4e4"
# Okabe and Ito's colours without their yellow, in an order of falling contrast to the paper.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
_DISTANCE_COLORS = ("#7fd4c1", "#39a9b0", "#2274a5", "#1b3b6f")
_COLUMNS, _LEGEND_ROW = 4, 0.2  # of a legend: columns, height of a row in inches
_DENSE = 60  # points of a curve from which on it is drawn smoothed over its points
_STYLE: Any = {
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "bevlab",
}  # letters embedded

Line = tuple[str, Sequence[float], Sequence[float]]  # name, x and y


def write_figures(folder: Path, runs: Sequence[Compared], formats: Sequence[str]) -> list[Path]:
    """Write the figures of one run, or of several runs side by side; returns their files.

    Args:
        folder: folder of the files, which is created if needed.
        runs: the runs; those without boxes have no precision-recall curves, and those without a
            training no training curves.
        formats: suffixes of the files, "svg" and "pdf".
    """
    folder.mkdir(parents=True, exist_ok=True)
    figures = [
        *training_figures({run.name: run.training for run in runs}),
        *precision_recall_figures(runs),
    ]
    written = []
    for name, figure in figures:
        for suffix in formats:
            path = folder / f"{name}.{suffix}"
            with replacing(path) as partial, matplotlib.rc_context(_STYLE):
                figure.savefig(partial, format=suffix, metadata=_undated(suffix))
            written.append(path)
    return written


def training_figures(
    charts: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Iterator[tuple[str, Figure]]:
    """Figures of the charts of runs, with a panel for each curve; the names are those of charts.

    Args:
        charts: charts of each run by its name, see ``training_curves``.
    """
    titles = {chart["name"]: chart["title"] for own in charts.values() for chart in own}
    for name, title in titles.items():
        panels: dict[str, list[Line]] = {}
        for run, own in charts.items():
            for chart in (one for one in own if one["name"] == name):
                for curve in chart["curves"]:
                    values = [math.nan if v is None else v for v in curve["values"]]
                    panels.setdefault(curve["name"], []).append((run, curve["steps"], values))
        names = [curve.rpartition("/")[2].replace("_", " ") for curve in panels]
        figure, axes = _grid(names, dict.fromkeys(charts, ""))
        colors = dict(zip(charts, _cycled(_COLORS, len(charts)), strict=True))
        for axis, lines in zip(axes, panels.values(), strict=True):
            for run, xs, ys in lines:
                _curve(axis, xs, ys, colors[run])
            if name == "training-gradients" and all(min(y, default=0) > 0 for _, _, y in lines):
                axis.set_yscale("log")
                axis.yaxis.set_minor_locator(LogLocator(subs=(2, 3, 5)))
                axis.yaxis.set_minor_formatter("{x:g}")
                axis.tick_params(which="minor", length=0, labelsize=7, colors=_FAINT)
                axis.grid(which="minor", axis="y", color=_GRID, lw=0.6)
            else:
                axis.yaxis.set_major_locator(MaxNLocator(4))
            axis.yaxis.set_major_formatter("{x:g}")
        _label(figure, axes, "optimiser steps", title.lower(), colors)
        yield name.replace("-", "_"), figure


def precision_recall_figures(runs: Sequence[Compared]) -> Iterator[tuple[str, Figure]]:
    """Figure of the precision-recall curves, with a panel for each class.

    Of one run, those of the four distances; of several, those of the distance of the errors.
    """
    details = {
        run.name: run.breakdown.boxes.matches.details() for run in runs if run.breakdown is not None
    }
    if not details:
        return
    colors: dict[str, str]
    if len(details) == 1:
        ((_, own),) = details.items()
        keys = {f"within {at:g} m": (own, at) for at in DISTANCES}
        colors = dict(zip(keys, _DISTANCE_COLORS, strict=True))
    else:
        keys = {name: (own, ERROR_DISTANCE) for name, own in details.items()}
        colors = dict(zip(keys, _cycled(_COLORS, len(keys)), strict=True))
    classes = dict.fromkeys(key.rpartition(":")[0] for own in details.values() for key in own)
    figure, axes = _grid([name.replace("_", " ") for name in classes], colors, columns=5)
    for axis, name in zip(axes, classes, strict=True):
        for line, (own, at) in keys.items():
            curve = own.get(f"{name}:{at}")
            if curve is not None:
                axis.plot(curve["recall"], curve["precision"], color=colors[line], lw=1.1)
        # The metric leaves out recall and precision below 0.1.
        axis.axvspan(0, 0.1, color="#f1f1f1", lw=0, zorder=0)
        axis.axhspan(0, 0.1, color="#f1f1f1", lw=0, zorder=0)
        axis.set(xlim=(0, 1), ylim=(0, 1))
        for side in (axis.xaxis, axis.yaxis):
            side.set_ticks((0, 0.5, 1), ("0", "0.5", "1"))
    what = "precision" if len(details) == 1 else f"precision within {ERROR_DISTANCE:g} m"
    _label(figure, axes, "recall", what, colors)
    yield "precision_recall", figure


def _grid(titles: Sequence[str], legend: Mapping[str, str], columns: int = 3) -> tuple[Figure, Any]:
    """A figure with panels in rows and their titles, and as many axes as titles."""
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    width = _WIDTH if columns > 2 else _WIDTH * columns / 3
    below = 0.42 + _LEGEND_ROW * _legend_rows(legend)
    height = rows * (_PANEL if columns < 5 else 1.45) + below
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=0.62 / width, right=1 - 0.1 / width, top=1 - 0.24 / height, bottom=below / height,
        wspace=0.34 if columns < 5 else 0.16, hspace=0.36 if columns < 5 else 0.34,
    )  # fmt: skip
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=columns >= 5).flat
    for axis in panels[len(titles) :]:
        axis.set_visible(False)
        above = panels[axis.get_subplotspec().num1 - columns]
        above.tick_params(labelbottom=True)
    for axis, title in zip(panels, titles, strict=False):
        axis.set_title(title, fontsize=8, loc="left", color=_TEXT, pad=4)
        axis.grid(color=_GRID, lw=0.6)
        axis.tick_params(length=0, labelsize=7, colors=_FAINT)
        axis.spines[:].set_visible(False)
    return figure, list(panels[: len(titles)])


def _curve(axis: Any, steps: Sequence[float], values: Sequence[float], color: str) -> None:
    """Draw a curve; one of many points also smoothed, over a fortieth of them."""
    if len(steps) < _DENSE:
        marker = "o" if len(steps) < 3 else ""
        axis.plot(steps, values, color=color, lw=1.1, marker=marker, ms=3)
        return
    axis.plot(steps, values, color=color, lw=0.6, alpha=0.3)
    count = max(len(values) // 40, 3) | 1
    padded = np.pad(np.asarray(values, float), count // 2, mode="edge")
    axis.plot(steps, np.convolve(padded, np.full(count, 1 / count), "valid"), color=color, lw=1.2)


def _label(figure: Figure, axes: Sequence[Any], x: str, y: str, colors: Mapping[str, str]) -> None:
    """Name the axes once, and the colours if there are several."""
    width, height = figure.get_size_inches()
    figure.supylabel(y, x=0.1 / width, fontsize=8, color=_FAINT)
    base = 0.06 + _LEGEND_ROW * _legend_rows(colors)
    figure.supxlabel(x, y=base / height, fontsize=8, color=_FAINT)
    if len(colors) > 1:
        handles = [
            matplotlib.lines.Line2D([], [], color=color, lw=1.6, label=name)
            for name, color in colors.items()
        ]
        figure.legend(
            handles=handles, loc="lower center", ncols=min(len(colors), _COLUMNS), frameon=False,
            fontsize=8, bbox_to_anchor=(0.5, 0.0), borderaxespad=0.1,
        )  # fmt: skip


def _legend_rows(entries: Mapping[str, str]) -> int:
    """Rows of a legend; a single entry has none."""
    return math.ceil(len(entries) / _COLUMNS) if len(entries) > 1 else 0


def _cycled(colors: Sequence[str], count: int) -> list[str]:
    return [colors[number % len(colors)] for number in range(count)]


def _undated(suffix: str) -> dict[str, Any]:
    """Metadata without the time, so that equal figures are equal files."""
    return {"Date": None} if suffix == "svg" else {"CreationDate": None}

"""Plot of a study: the score of every run, and the differences with their intervals."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bev.lab.ablation.results import Row

_COLOUR, _FAINT = "#2274a5", "#b9c6cf"


def draw(rows: Sequence[Row], path: Path) -> Path:
    """Draw the headline figures of each variant and their differences to the first variant.

    A dot is a run, a bar is the mean of a variant. The headline figures are named by the evaluators
    of the heads and drawn in the order of the table.

    Args:
        rows: results of the variants.
        path: image file to write.

    Returns:
        The path of the image.
    """
    headlines = dict.fromkeys(name for row in rows for name in row.headlines)
    evaluated = dict.fromkeys(name for row in rows for name in row.figures)
    names = [name for name in evaluated if name in headlines] or list(headlines)[:1]
    figure = Figure(figsize=(13, 1.6 + 0.42 * len(rows)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2 * len(names), sharey=True)
    for number, name in enumerate(names):
        _scores(panels[2 * number], rows, name)
        _differences(panels[2 * number + 1], rows, name)
    panels[0].set_yticks(range(len(rows)), [row.variant for row in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)  # the first variant on top
    for axes in panels:
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="x", color="#e4e4e4", lw=0.7)
        axes.tick_params(length=0, labelsize=9)
        axes.spines[:].set_visible(False)
    figure.savefig(path)
    return path


def _scores(axes, rows: Sequence[Row], name: str) -> None:
    axes.set_title(name, loc="left", fontsize=11)
    for place, row in enumerate(rows):
        if name in row.figures:
            values = row.figures[name]
            axes.barh(place, row.mean(name), 0.6, color=_FAINT, zorder=1)
            axes.plot(values, [place] * len(values), "o", color=_COLOUR, ms=5, zorder=2)


def _differences(axes, rows: Sequence[Row], name: str) -> None:
    axes.set_title(f"Δ {name}, 95 %", loc="left", fontsize=11)
    axes.axvline(0, color="#888888", lw=1)
    for place, row in enumerate(rows):
        if name in row.differences:
            difference = row.differences[name]
            axes.plot([difference.low, difference.high], [place, place], color=_COLOUR, lw=2)
            axes.plot(difference.value, place, "o", color=_COLOUR, ms=6)

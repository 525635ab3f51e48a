"""Figure of a suite: curves over severity, cameras, and average precision by azimuth."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bev.files import replacing
from bev.lab.robustness.table import Results

# Okabe and Ito's colours without their yellow, and a grey.
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8c8c8c")
_MARKERS = "os^Dv<>P"
_TEXT, _FAINT, _GRID = "#222222", "#555555", "#e4e4e4"
_CURVES = (
    ("Corrupted images", ("corruptions",)),
    ("Wrong calibrations and late images", ("extrinsics", "misalignment", "intrinsics", "late",
                                            "late-sweep")),
)  # fmt: skip


def draw_suite(results: Results, path: Path) -> Path:
    """Draw the conditions that are done, as PNG, SVG or PDF by the path's suffix; returns it.

    Curves begin at the clean data; a dashed line shows them. The map shows by how much the mean AP
    of each sector of 60 degrees changes when a camera is dropped.
    """
    curves = [(title, _kinds(results, groups)) for title, groups in _CURVES]
    curves = [(title, kinds) for title, kinds in curves if kinds]
    dropped = [one for one in results.done if one.group == "dropped"]
    cameras = dropped + [one for one in results.done if one.group == "alone"]
    maps = bool(dropped and results.clean.azimuth)
    panels = len(curves) + bool(cameras) + maps
    columns = min(2, max(panels, 1))
    rows = -(-max(panels, 1) // columns)
    figure = Figure(figsize=(5.6 * columns, 3.9 * rows), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = iter(figure.subplots(rows, columns, squeeze=False).flat)
    for title, kinds in curves:
        _draw_curves(next(axes), results, title, kinds)
    if cameras:
        _draw_cameras(next(axes), results, cameras)
    if maps:
        _draw_azimuth(figure, next(axes), results, dropped)
    for axis in axes:
        axis.set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        figure.savefig(partial, format=path.suffix[1:])
    return path


def _kinds(results: Results, groups: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(one.kind for one in results.done if one.group in groups))


def _style(axis: Any, title: str) -> None:
    axis.set_title(title, fontsize=10, loc="left", color=_TEXT)
    axis.grid(color=_GRID, lw=0.7)
    axis.set_axisbelow(True)
    axis.tick_params(length=0, labelsize=8, colors=_FAINT)
    axis.spines[:].set_visible(False)


def _draw_curves(axis: Any, results: Results, title: str, kinds: list[str]) -> None:
    _style(axis, title)
    clean = results.value(results.done[0])
    axis.axhline(clean, color=_FAINT, lw=1, ls="--")
    for place, kind in enumerate(kinds):
        values = [clean, *results.levels(kind)]
        axis.plot(
            range(len(values)), values, color=_COLORS[place % 8], marker=_MARKERS[place % 8], ms=4,
            lw=1.5, label=kind,
        )  # fmt: skip
    axis.set_xticks(range(4), ["clean", "1", "2", "3"])
    axis.set_xlim(-0.1, 3.1)
    axis.set_ylim(0, max(clean * 1.08, 0.01))
    axis.set_xlabel("level", fontsize=8, color=_FAINT)
    axis.set_ylabel(results.main, fontsize=8, color=_FAINT)
    axis.legend(  # below the axes: a curve may go anywhere in them
        fontsize=7.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=4,
        columnspacing=1.0, handlelength=1.5,
    )  # fmt: skip


def _draw_cameras(axis: Any, results: Results, cameras: list[Any]) -> None:
    _style(axis, f"{results.main} with a camera dropped, or with one camera")
    axis.grid(axis="y", lw=0)
    values = [results.value(one) for one in cameras]
    places = np.arange(len(cameras)) + [0.6 * (one.group == "alone") for one in cameras]
    colors = [_COLORS[one.group == "alone"] for one in cameras]
    axis.barh(places, values, 0.7, color=colors)
    clean = results.value(results.done[0])
    axis.axvline(clean, color=_FAINT, lw=1, ls="--")
    for place, value in zip(places, values, strict=True):
        inside = value > 0.2 * clean
        axis.text(
            value + (-0.01 if inside else 0.01) * clean, place, f"{value:.3f}", va="center",
            ha="right" if inside else "left", color="white" if inside else _TEXT, fontsize=7.5,
        )  # fmt: skip
    axis.set_yticks(places, [one.name.replace("CAM_", "") for one in cameras])
    axis.set_ylim(places[-1] + 0.6, -0.6)
    axis.set_xlim(0, max(clean * 1.15, 0.01))
    axis.text(clean, -0.5, " clean", fontsize=7.5, color=_FAINT, va="top")


def _draw_azimuth(figure: Figure, axis: Any, results: Results, dropped: list[Any]) -> None:
    sectors = list(results.clean.azimuth)
    before = np.array([_number(results.clean.azimuth[sector]) for sector in sectors])
    after = np.array(
        [[_number(results.outcomes[one.name].azimuth.get(s)) for s in sectors] for one in dropped]
    )
    change = after - before
    # Cameras in the order of the sectors that lose most: a diagonal, if each is where it looks.
    order = np.argsort(np.argmin(np.nan_to_num(change), axis=1), kind="stable")
    dropped, change = [dropped[row] for row in order], change[order]
    reach = max(float(np.nanmax(np.abs(change))), 0.01)
    _style(axis, "Change of mean AP by azimuth, a camera dropped")
    axis.grid(visible=False)
    axis.imshow(change, cmap="RdBu", vmin=-reach, vmax=reach, aspect="auto")
    for row, column in np.ndindex(change.shape):
        value = change[row, column]
        color = "white" if abs(value) > 0.6 * reach else _TEXT
        text = "–" if np.isnan(value) else f"{value:+.2f}".replace("-", "−")
        text = "0.00" if text[1:] == "0.00" else text
        axis.text(column, row, text, ha="center", va="center", fontsize=8, color=color)
    axis.set_xticks(range(len(sectors)), [sector.replace(" ", "\n") for sector in sectors])
    axis.set_yticks(range(len(dropped)), [one.name.replace("CAM_", "") for one in dropped])
    axis.set_xlabel("sector of the ground truth", fontsize=8, color=_FAINT)


def _number(value: float | None) -> float:
    return np.nan if value is None else value

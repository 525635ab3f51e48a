"""Report of several runs or evaluations, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bev.evaluation.breakdown.breakdown import Breakdown
from bev.evaluation.breakdown.comparison import AP, Change, Drawn, changes
from bev.visualization.report.meaning import meaning
from bev.visualization.report.page import write_html
from bev.visualization.report.plain import number, numbers
from bev.visualization.report.provenance import flat_settings

MOST_SAMPLES = 200  # whose errors differ most


@dataclass(frozen=True)
class Compared:
    """One of the evaluations.

    Attributes:
        name: name, different from those of the others.
        figures: all headline figures.
        drawn: figures with bootstrap draws; None if nothing can be resampled.
        breakdown: breakdown of its boxes, if it has any.
        training: charts of the training, see ``training_curves``.
        config: config as plain data; empty if unknown.
    """

    name: str
    figures: Mapping[str, float]
    drawn: Drawn | None = None
    breakdown: Breakdown | None = None
    training: Sequence[Mapping[str, Any]] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def write_comparison(
    folder: Path | str,
    runs: Sequence[Compared],
    note: str,
    provenance: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write ``report.html`` of two or more evaluations and return its path.

    Args:
        folder: folder of the page.
        runs: the evaluations; the others are compared with the first.
        note: how the intervals were computed.
        provenance: names and values of code, machine, time and command.
    """
    first = runs[0]
    differ = [
        changes(first.drawn, run.drawn) if first.drawn is not None and run.drawn is not None else {}
        for run in runs
    ]
    figures = dict.fromkeys(name for run in runs for name in run.figures)
    aps = dict.fromkeys(
        name for run in runs if run.drawn for name in run.drawn.names if name.startswith(AP)
    )
    notices = [
        f"{run.name} was evaluated on other samples than {first.name}; there are no intervals."
        for run in runs[1:]
        if run.drawn and first.drawn and run.drawn.tokens != first.drawn.tokens
    ]
    comparison = {
        "runs": [run.name for run in runs],
        "note": note,
        "figures": [
            {"name": name, **meaning(name)._asdict()}
            | _row([run.figures.get(name) for run in runs], name, differ)
            for name in figures
        ],
        "classes": [
            {"name": name.removeprefix(AP)}
            | _row([_drawn(run, name) for run in runs], name, differ)
            for name in aps
        ],
        "groups": _groups(runs),
        "samples": _samples(runs),
        "training": _training(runs),
        "settings": _settings(runs),
    }
    title = " and ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} evaluations"
    summary = {
        "title": title,
        "subtitle": f"Compared with {first.name}",
        "notices": notices,
        "comparison": comparison,
        "provenance": [[name, value] for name, value in provenance if value],
    }
    return write_html(folder, title, summary, {}, {})


def _row(
    values: Sequence[float | None], name: str, differ: Sequence[Mapping[str, Change]]
) -> dict[str, Any]:
    """Values of a figure, and their differences to the first."""
    found: list[dict[str, Any] | None] = []
    for place, value in enumerate(values):
        change = differ[place].get(name) if place else None
        if place == 0 or value is None or values[0] is None:
            found.append(None)
        elif change is None:
            found.append({"value": number(value - values[0]), "low": None, "high": None})
        else:
            low, high = number(change.low), number(change.high)
            found.append({"value": number(change.value), "low": low, "high": high})
    shown = [None if value is None else number(float(value)) for value in values]
    return {"values": shown, "changes": found}


def _drawn(run: Compared, name: str) -> float | None:
    if run.drawn is None or name not in run.drawn.names:
        return None
    return float(run.drawn.values[run.drawn.names.index(name)])


def _groups(runs: Sequence[Compared]) -> list[dict[str, Any]]:
    """Mean AP of the groups that all breakdowns have."""
    broken = [run.breakdown for run in runs]
    if any(one is None for one in broken):
        return []
    by_name = [{g.division.name: g for g in one.groups} for one in broken if one is not None]
    return [
        {
            "name": name,
            "title": group.division.title,
            "rule": group.division.rule,
            "groups": list(group.division.groups),
            "means": [numbers(own[name].mean_ap) for own in by_name],
            "total": group.num_gt.sum(axis=0).tolist(),
        }
        for name, group in by_name[0].items()
        if all(name in own for own in by_name)
    ]


def _samples(runs: Sequence[Compared]) -> list[dict[str, Any]]:
    """Samples whose errors differ most between the evaluations."""
    broken = [run.breakdown for run in runs if run.breakdown is not None]
    if len(broken) < len(runs):
        return []
    errors = [
        dict(zip(one.boxes.matches.tokens, one.samples.error.tolist(), strict=True))
        for one in broken
    ]
    shared = [token for token in errors[0] if all(token in own for own in errors)]
    table = np.array([[own[token] for own in errors] for token in shared]).reshape(-1, len(runs))
    order = np.argsort(-np.ptp(table, axis=1), kind="stable")[:MOST_SAMPLES].tolist()
    scenes = dict(zip(broken[0].boxes.matches.tokens, broken[0].boxes.scenes, strict=True))
    return [
        {"token": shared[row], "scene": scenes[shared[row]], "errors": numbers(table[row], 4)}
        for row in order
    ]


def _training(runs: Sequence[Compared]) -> list[dict[str, Any]]:
    """Curves of one name in one chart."""
    charts: dict[str, dict[str, Any]] = {}
    for run in runs:
        for chart in run.training:
            for curve in chart["curves"]:
                title = curve["name"]
                key = f"training-{len(charts)}"
                own = charts.setdefault(title, {"name": key, "title": title, "curves": []})
                own["curves"].append({**curve, "name": run.name})
    return [chart for chart in charts.values() if len(chart["curves"]) > 1]


def _settings(runs: Sequence[Compared]) -> list[list[str]]:
    """Settings that are not equal in all configs: name, then each value."""
    if not all(run.config for run in runs):
        return []
    flat = [flat_settings(run.config) for run in runs]
    names = dict.fromkeys(name for own in flat for name in own)
    rows = [[name, *(own.get(name, "") for own in flat)] for name in names]
    return [row for row in rows if len({*row[1:]}) > 1]

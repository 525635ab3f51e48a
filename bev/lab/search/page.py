"""Page of a search: its trials, what its figure depends on, and the best settings."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bev.lab.search.definition import Search
from bev.lab.search.ledger import Entry, Ledger
from bev.lab.search.parameters import Choice, Float, Int, Variants
from bev.visualization.report.page import write_html
from bev.visualization.report.plain import number
from bev.visualization.report.provenance import provenance

_FEW = 20  # finished trials below which importances are said to be rough


def write_search_page(search: Search, ledger: Ledger, runs: Path) -> Path:
    """Write ``report.html`` to the folder of a search; returns its path.

    Args:
        search: the search.
        ledger: its trials.
        runs: parent of the search's folder.
    """
    entries = ledger.entries()
    top = best(search, entries)
    complete = sum(one.state == "complete" for one in entries)
    notices = []
    if 0 < complete < _FEW:
        notices.append(
            f"{complete} trials ran to their end: what a parameter is worth is a rough guess, and"
            " the best of several trials is better than another run of the same settings."
        )
    content = {
        "figure": search.figure,
        "better": "higher" if search.aim == "maximize" else "lower",
        "count": summary(search, entries),
        "best": None if top is None else top.place,
        "command": "" if top is None else command(search, top, runs),
        "trials": [_trial(one) for one in entries],
        "parameters": [_parameter(search, name) for name in search.space],
        "importances": [[name, number(x)] for name, x in ledger.importances().items()],
    }
    page = {
        "title": f"Search {search.name}",
        "subtitle": f"{search.figure}, {search.aim}d, in {runs / search.name}",
        "notices": notices,
        "search": content,
        "provenance": [[name, value] for name, value in provenance() if value],
    }
    return write_html(runs / search.name, f"Search {search.name}", page, {}, {})


def best(search: Search, entries: Sequence[Entry]) -> Entry | None:
    """The best trial that ran to its end; None if there is none."""
    sign = 1 if search.aim == "maximize" else -1
    ended = [one for one in entries if one.state == "complete" and one.value is not None]
    return max(ended, key=lambda one: sign * (one.value or 0.0), default=None)


def summary(search: Search, entries: Sequence[Entry]) -> str:
    """Number of trials by what became of them, and the best one with its values."""
    counts = {one.state: 0 for one in entries}
    for one in entries:
        counts[one.state] += 1
    text = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no trials"
    text = f"{len(entries)} of {search.trials} trials: {text}"
    top = best(search, entries)
    if top is None:
        return text
    values = ", ".join(f"{name} {_written(value)}" for name, value in top.values.items())
    return f"{text}; best {search.figure} {top.value:.4f} by {run_name(top)}: {values}"


def command(search: Search, entry: Entry, runs: Path) -> str:
    """Command that trains the config of a trial again, under another name."""
    plan = runs / search.name / "configs" / f"{run_name(entry)}_seed{search.base.train.seed}.yaml"
    return shlex.join(["bevlab", "train", str(plan), "--train.run-name", f"{search.name}_best"])


def run_name(entry: Entry) -> str:
    """Name of a trial in messages; that of its run ends in its seed."""
    return f"trial_{entry.place:03d}"


def _trial(entry: Entry) -> dict[str, Any]:
    value = entry.value
    return {
        "name": run_name(entry),
        "place": entry.place,
        "state": entry.state,
        "value": None if value is None else number(value, 6),
        "values": entry.values,
        "epochs": list(entry.curve),
        "curve": [number(x) for x in entry.curve.values()],
        "minutes": number(entry.seconds / 60, 4),
        "attempts": entry.attempts,
        "reason": entry.reason,
    }


def _parameter(search: Search, name: str) -> dict[str, Any]:
    parameter = search.space[name]
    return {
        "name": name,
        "range": parameter.text(),
        "condition": parameter.when.text() if parameter.when else "",
        "log": isinstance(parameter, Float | Int) and parameter.log,
        "choices": list(parameter.corners()) if isinstance(parameter, Choice | Variants) else None,
    }


def _written(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

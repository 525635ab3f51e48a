"""Table of a study as Markdown, CSV and LaTeX."""

import csv
import math
import re
from collections.abc import Sequence, Set
from pathlib import Path

from bev.lab.ablation.results import Difference, Row

_COSTS = ("M params", "GFLOPs", "minutes", "ms/step", "GiB")
_PLACES = {"M params": 2, "GFLOPs": 1, "minutes": 1, "ms/step": 0, "GiB": 2}

_TEX = str.maketrans(
    {c: f"\\{c}" for c in "_%&#${}"}
    | {"\\": r"\textbackslash{}", "±": r"$\pm$", "Δ": r"$\Delta$"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


def note(unit: str, replicates: int) -> str:
    """Explanation of the table's columns in a few sentences."""
    return (
        "Mean ± standard deviation over the seeds of the final evaluation. Δ: difference to the"
        f" first row, with the 95 % interval of a paired bootstrap over {unit}"
        f" ({replicates} draws); it does not include the variation over seeds. GFLOPs: matrix"
        " products and convolutions of one sample's forward pass. GiB: peak memory of a process"
        " (tensors on a GPU, resident memory on a CPU)."
    )


def cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table as text."""
    names, compared = _figure_names(rows), {name for row in rows for name in row.compared}
    header = ["variant", "runs"]
    for name in names:
        header += [name, f"Δ {name}"] if name in compared else [name]
    return [*header, *_COSTS], [_line(row, names, compared) for row in rows]


def markdown(rows: Sequence[Row], name: str, note: str) -> str:
    """Markdown text: a heading, the table, the failed and unfinished runs, and the note."""
    header, lines = cells(rows)
    texts = [f"# {name}\n", _bar(header), _bar(["---"] * len(header)), *map(_bar, lines)]
    faults = [fault for row in rows for fault in row.faults]
    if faults:
        texts.append("\nFailed:\n")
        texts += [f"- `{run}`: {message} (log: `{log}`)" for run, message, log in faults]
    if unfinished := [f"`{run}`" for row in rows for run in row.unfinished]:
        texts.append(f"\nNot finished: {', '.join(unfinished)}")
    return "\n".join([*texts, f"\n{note}\n"])


def latex(rows: Sequence[Row], name: str) -> str:
    """LaTeX ``tabular`` that needs the package booktabs."""
    header, lines = cells(rows)
    body = "\n".join(" & ".join(map(_tex, line)) + r" \\" for line in lines)
    return (
        f"% {name}; \\usepackage{{booktabs}}\n"
        f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n\\toprule\n"
        f"{' & '.join(map(_tex, header))} \\\\\n\\midrule\n{body}\n"
        "\\bottomrule\n\\end{tabular}\n"
    )


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write all numbers in full precision, each in a column of its own; missing ones are empty."""
    names = _figure_names(rows)
    records = []
    for row in rows:
        record: dict[str, object] = {
            "variant": row.variant, "planned": row.planned, "finished": len(row.records)
        }  # fmt: skip
        for name in names:
            if name in row.figures:
                record |= {name: row.mean(name), f"{name} std": _number(row.deviation(name))}
        for name, difference in row.differences.items():
            record |= {f"Δ {name}": difference.value, f"Δ {name} low": difference.low,
                       f"Δ {name} high": difference.high}  # fmt: skip
        records.append(record | row.costs())
    columns = list(dict.fromkeys(key for record in records for key in record))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(records)


def _figure_names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.figures))


def _line(row: Row, names: Sequence[str], compared: Set[str]) -> list[str]:
    finished = len(row.records)
    failed = f", {len(row.faults)} failed" if row.faults else ""
    line = [row.variant, f"{finished}/{row.planned}{failed}"]
    for name in names:
        line.append(_spread(row, name) if name in row.figures else "-")
        if name in compared:
            line.append(_difference(row.differences.get(name)))
    costs = row.costs()
    return line + [f"{costs[n]:.{_PLACES[n]}f}" if costs else "-" for n in _COSTS]


def _spread(row: Row, name: str) -> str:
    deviation = row.deviation(name)
    return f"{row.mean(name):.3f}" + ("" if math.isnan(deviation) else f" ± {deviation:.3f}")


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "-"
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]"


def _number(value: float) -> float | str:
    return "" if math.isnan(value) else value


def _bar(texts: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', '/') for text in texts)} |"


def _tex(text: str) -> str:
    return re.sub(r"(?<!\w)[+-](?=\d)", r"$\g<0>$", text.translate(_TEX))

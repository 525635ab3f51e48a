"""Report of a study: its tables and its plot."""

from collections.abc import Sequence

from bev.evaluation.bootstrap import REPLICATES
from bev.lab.ablation.plot import draw
from bev.lab.ablation.results import Unit, collect
from bev.lab.ablation.study import Run
from bev.lab.ablation.table import latex, markdown, note, write_csv


def write_report(runs: Sequence[Run], unit: Unit = "samples", replicates: int = REPLICATES) -> str:
    """Write ``table.md``, ``table.csv``, ``table.tex`` and ``plot.png`` into the study's folder.

    Args:
        runs: all runs of the study, finished or not.
        unit: unit that the bootstrap draws, see ``collect``.
        replicates: number of bootstrap draws.

    Returns:
        The table as Markdown.
    """
    folder = runs[0].study
    folder.mkdir(parents=True, exist_ok=True)
    rows = collect(runs, unit, replicates)
    text = markdown(rows, folder.name, note(unit, replicates))
    (folder / "table.md").write_text(text, encoding="utf-8")
    (folder / "table.tex").write_text(latex(rows, folder.name), encoding="utf-8")
    write_csv(rows, folder / "table.csv")
    draw(rows, folder / "plot.png")
    return text

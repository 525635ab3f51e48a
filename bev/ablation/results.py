"""What came of a study: the figures of each variant, and its differences to the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bev.ablation.bootstrap import REPLICATES, draws, interval, replicate
from bev.ablation.study import Run
from bev.data.index import Index
from bev.evaluation import read_metrics
from bev.evaluation.matches import Matches, match
from bev.evaluation.official import counted_boxes
from bev.training.record import RunRecord

COMPARED = ("mAP", "NDS")  # in the order of Matches.scores

Unit = Literal["samples", "scenes"]


@dataclass(frozen=True)
class Difference:
    """To the first variant: of the means over seeds, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One variant.

    Attributes:
        planned: its runs.
        figures: by name ("mAP", ...), one value for each finished run.
        differences: by name; empty for the first variant, where either has no finished run, and
            where other samples were evaluated.
        records: of the finished runs.
        faults: (run name, its error, log file) of those that failed.
        unfinished: names of the others: they run, wait, or were cut off and can go on.
    """

    variant: str
    planned: int
    figures: dict[str, list[float]]
    differences: dict[str, Difference]
    records: list[RunRecord]
    faults: list[tuple[str, str, str]]
    unfinished: list[str]

    def mean(self, name: str) -> float:
        """Over the finished runs."""
        return float(np.mean(self.figures[name]))

    def deviation(self, name: str) -> float:
        """Standard deviation over the finished runs (n - 1); NaN for a single one."""
        values = self.figures[name]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def costs(self) -> dict[str, float]:
        """Means over the finished runs (memory: the most); empty where there is none."""
        if not self.records:
            return {}
        minutes = [record.training_minutes for record in self.records]
        steps = [60_000 * record.training_minutes / max(record.steps, 1) for record in self.records]
        return {
            "M params": self.records[0].parameters / 1e6,
            "GFLOPs": self.records[0].flops / 1e9,
            "minutes": float(np.mean(minutes)),
            "ms/step": float(np.mean(steps)),
            "GiB": max(record.peak_memory for record in self.records) / 2**30,
        }


def collect(runs: Sequence[Run], unit: Unit = "samples", replicates: int = REPLICATES) -> list[Row]:
    """A row for each variant, in the study's order.

    Args:
        unit: what the bootstrap draws.
        replicates: of the bootstrap.
    """
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    rows, base = [], None
    for number, (variant, planned) in enumerate(by_variant.items()):
        finished = [run for run in planned if run.finished]
        figures: dict[str, list[float]] = {}
        for run in finished:
            folder = run.folder / "evaluation" / run.config.data.splits[1]
            for name, value in read_metrics(folder).scalars().items():
                figures.setdefault(name, []).append(value)
        sampled = _replicates(finished, unit, replicates) if finished else None
        differences = {}
        if number == 0:
            base = sampled
        elif base and sampled and sampled.tokens == base.tokens:
            differences = _differences(sampled.values - base.values, figures, rows[0].figures)
        rows.append(
            Row(
                variant,
                len(planned),
                figures,
                differences,
                [RunRecord.read(run.folder) for run in finished],
                [(run.name, run.error, str(run.log)) for run in planned if run.error],
                [run.name for run in planned if not (run.finished or run.error)],
            )
        )
    return rows


@dataclass(frozen=True)
class _Sampled:
    tokens: tuple[str, ...]
    values: np.ndarray


def _replicates(runs: Sequence[Run], unit: Unit, count: int) -> _Sampled:
    matched = [_matches(run) for run in runs]
    tokens = matched[0].tokens
    index = runs[0].config.data.open()
    groups = scene_numbers(index, tokens) if unit == "scenes" else np.arange(len(tokens))
    return _Sampled(tokens, replicate([m.scores for m in matched], draws(groups, count)))


def _matches(run: Run) -> Matches:
    data = run.config.data
    path = run.folder / "evaluation" / data.splits[1] / "results_nusc.json"
    return match(counted_boxes(path, data.open(), data.splits[1]))


def scene_numbers(index: Index, tokens: Sequence[str]) -> np.ndarray:
    """(S,) the scene of each sample, counted from 0."""
    scenes = index.sample.scene[index.rows_of(tokens)]
    return np.unique(scenes, return_inverse=True)[1]


def _differences(
    values: np.ndarray, figures: dict[str, list[float]], base: dict[str, list[float]]
) -> dict[str, Difference]:
    return {
        name: Difference(
            float(np.mean(figures[name]) - np.mean(base[name])), *interval(values[:, column])
        )
        for column, name in enumerate(COMPARED)
    }

"""What came of a study: the figures of each variant, and its differences to the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bev.data.nuscenes.index import Index
from bev.evaluation.bootstrap import REPLICATES, Score, draws, interval, replicate
from bev.evaluation.matches import Matches, match
from bev.evaluation.official import counted_boxes, read_metrics
from bev.evaluation.segmentation import MEAN, Overlaps
from bev.lab.ablation.study import Run
from bev.training.record import RunRecord

_OFFICIAL = ("mAP", "NDS")  # in the order of Matches.scores
HEADLINES = (*_OFFICIAL, MEAN)

Unit = Literal["samples", "scenes"]


def compared(name: str) -> bool:
    """Whether differences in a figure have an interval."""
    return name in HEADLINES or name.startswith("IoU")


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
            for name, value in _figures(run).items():
                figures.setdefault(name, []).append(value)
        sampled = _replicates(finished, unit, replicates) if finished else None
        differences = {}
        if number == 0:
            base = sampled
        elif base and sampled and sampled.tokens == base.tokens:
            differences = _differences(sampled, base, figures, rows[0].figures)
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


def _evaluation(run: Run) -> Path:
    return run.folder / "evaluation" / run.config.data.splits[1]


def _figures(run: Run) -> dict[str, float]:
    """Of the final evaluation: official metrics where it detects, IoU where it segments."""
    folder = _evaluation(run)
    official = read_metrics(folder).scalars() if run.config.model.detects else {}
    return official | Overlaps.read(folder).scalars()


@dataclass(frozen=True)
class _Sampled:
    """Figures of every draw: ``values`` is (R, M), of M ``names``."""

    tokens: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray


def _replicates(runs: Sequence[Run], unit: Unit, count: int) -> _Sampled:
    scored = [_scored(run) for run in runs]
    tokens, names, _ = scored[0]
    data = runs[0].config.data
    index = data.source.open(data).index
    groups = scene_numbers(index, tokens) if unit == "scenes" else np.arange(len(tokens))
    values = replicate([score for _, _, score in scored], draws(groups, count))
    return _Sampled(tokens, names, values)


def _scored(run: Run) -> tuple[tuple[str, ...], tuple[str, ...], Score]:
    """Tokens of a run's S samples, names of its M figures, and these by the samples' weights."""
    overlaps, matches = Overlaps.read(_evaluation(run)), None
    if run.config.model.detects:
        matches = _matches(run)
    tokens = matches.tokens if matches else tuple(sorted(overlaps.samples))
    names = (*(_OFFICIAL if matches else ()), *overlaps.scalars())

    def score(weights: np.ndarray) -> list[float]:
        official = matches.scores(weights) if matches else ()
        areas = overlaps.scores(tokens, weights).values() if overlaps.names else ()
        return [*official, *areas]

    return tokens, names, score


def _matches(run: Run) -> Matches:
    data, path = run.config.data, _evaluation(run) / "results_nusc.json"
    return match(counted_boxes(path, data.source.open(data).index, data.splits[1]))


def scene_numbers(index: Index, tokens: Sequence[str]) -> np.ndarray:
    """(S,) the scene of each sample, counted from 0."""
    scenes = index.sample.scene[index.rows_of(tokens)]
    return np.unique(scenes, return_inverse=True)[1]


def _differences(
    sampled: _Sampled,
    base: _Sampled,
    figures: dict[str, list[float]],
    base_figures: dict[str, list[float]],
) -> dict[str, Difference]:
    """Of the figures that both have."""
    found = {}
    for name in sampled.names:
        if name in base.names:
            own, first = (s.values[:, s.names.index(name)] for s in (sampled, base))
            change = float(np.mean(figures[name]) - np.mean(base_figures[name]))
            found[name] = Difference(change, *interval(own - first))
    return found

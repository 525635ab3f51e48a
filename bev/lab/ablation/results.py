"""Results of a study: the figures of each variant and its differences to the first variant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bev.evaluation.base import EvaluatedSplit, Resampled
from bev.evaluation.bootstrap import REPLICATES, Score, draws, interval, replicate
from bev.evaluation.evaluation import evaluators
from bev.lab.ablation.study import Run
from bev.paths import file_name
from bev.training.record import RunRecord

Unit = Literal["samples", "scenes"]


@dataclass(frozen=True)
class Difference:
    """Difference of a figure to the first variant.

    Attributes:
        value: difference of the means over the seeds.
        low: lower end of its 95 % interval.
        high: upper end of its 95 % interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """Results of one variant.

    Attributes:
        variant: name of the variant.
        planned: number of its runs.
        figures: by name ("mAP", ...), one value for each finished run.
        headlines: names of the main figures of each head.
        compared: names of the figures that are resampled, so that differences have an interval.
        differences: differences to the first variant by name of the figure; empty for the first
            variant, if one of the two has no finished run, and if other samples were evaluated.
        records: records of the finished runs.
        faults: (run name, error message, log file) of the failed runs.
        unfinished: names of all other runs: still running, waiting, or interrupted and resumable.
    """

    variant: str
    planned: int
    figures: dict[str, list[float]]
    headlines: tuple[str, ...]
    compared: tuple[str, ...]
    differences: dict[str, Difference]
    records: list[RunRecord]
    faults: list[tuple[str, str, str]]
    unfinished: list[str]

    def mean(self, name: str) -> float:
        """Mean of a figure over the finished runs."""
        return float(np.mean(self.figures[name]))

    def deviation(self, name: str) -> float:
        """Standard deviation of a figure over the finished runs (n - 1); NaN for a single run."""
        values = self.figures[name]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")

    def costs(self) -> dict[str, float]:
        """Mean costs of the finished runs (memory: the maximum); empty if no run is finished."""
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
    """Results of each variant, in the study's order.

    Args:
        runs: all runs of the study, finished or not.
        unit: unit that the bootstrap draws: samples, or scenes with all of their samples.
        replicates: number of bootstrap draws.
    """
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(run.variant, []).append(run)
    rows: list[Row] = []
    base: _Sampled | None = None
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
                _headlines(planned[0]),
                sampled.names if sampled else (),
                differences,
                [RunRecord.read(run.folder) for run in finished],
                [(run.name, run.error, str(run.log)) for run in planned if run.error],
                [run.name for run in planned if not (run.finished or run.error)],
            )
        )
    return rows


def _headlines(run: Run) -> tuple[str, ...]:
    heads = evaluators(run.config.model, run.config.data).values()
    return tuple(name for evaluator in heads for name in evaluator.headlines)


def _evaluated(run: Run) -> EvaluatedSplit:
    """Split and folder of a run's final evaluation."""
    data = run.config.data
    split = data.splits[1]
    return EvaluatedSplit(
        data.source.open(data), split, run.folder / "evaluation" / file_name(split)
    )


def _figures(run: Run) -> dict[str, float]:
    """Figures of all heads in a run's final evaluation, read from its files."""
    heads = evaluators(run.config.model, run.config.data).values()
    folder = run.folder / "evaluation" / file_name(run.config.data.splits[1])
    return {
        name: value for evaluator in heads for name, value in evaluator.read(folder).figures.items()
    }


@dataclass(frozen=True)
class _Sampled:
    """Bootstrap draws of a variant's figures.

    Attributes:
        tokens: tokens of the evaluated samples.
        names: names of the M figures.
        values: (R, M) figures of each of R draws.
    """

    tokens: tuple[str, ...]
    names: tuple[str, ...]
    values: np.ndarray


def _replicates(runs: Sequence[Run], unit: Unit, count: int) -> _Sampled | None:
    scored = [_scored(run) for run in runs]
    tokens = scored[0][0].tokens if scored[0] else ()
    if not all(run and all(one.tokens == tokens for one in run) for run in scored):
        return None
    groups = np.arange(len(tokens))
    if unit == "scenes":
        groups = scene_numbers(_evaluated(runs[0]), tokens)
    values = replicate([_joined(run) for run in scored], draws(groups, count))
    names = tuple(name for one in scored[0] for name in one.names)
    return _Sampled(tokens, names, values)


def _scored(run: Run) -> list[Resampled]:
    """Evaluations of a run's heads that can be resampled."""
    split = _evaluated(run)
    heads = evaluators(run.config.model, run.config.data).values()
    return [scored for head in heads if (scored := head.resampled(split)) is not None]


def _joined(parts: Sequence[Resampled]) -> Score:
    return lambda weights: [value for one in parts for value in one.score(weights)]


def scene_numbers(split: EvaluatedSplit, tokens: Sequence[str]) -> np.ndarray:
    """(S,) number of each sample's scene, counted from 0."""
    frames = split.source.frames(split.name)
    scene = dict(zip(frames.tokens, frames.scenes, strict=True))
    return np.unique([scene[token] for token in tokens], return_inverse=True)[1]


def _differences(
    sampled: _Sampled,
    base: _Sampled,
    figures: dict[str, list[float]],
    base_figures: dict[str, list[float]],
) -> dict[str, Difference]:
    """Differences of the figures that both variants have."""
    differences = {}
    for name in sampled.names:
        if name in base.names:
            draws_here, draws_base = (s.values[:, s.names.index(name)] for s in (sampled, base))
            change = float(np.mean(figures[name]) - np.mean(base_figures[name]))
            differences[name] = Difference(change, *interval(draws_here - draws_base))
    return differences

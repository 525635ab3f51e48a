"""Content of a report on the breakdown of an evaluation of boxes."""

from typing import Any

import numpy as np

from bev.evaluation.breakdown.breakdown import Breakdown
from bev.evaluation.breakdown.calibration import ALL, Calibration
from bev.evaluation.breakdown.distributions import QUANTILES, ErrorDistribution
from bev.evaluation.breakdown.precision import GroupPrecision
from bev.visualization.report.plain import named, number, numbers


def analysis(breakdown: Breakdown) -> dict[str, Any]:
    """The breakdown as plain data, without its samples."""
    names = [kind.name for kind in breakdown.boxes.kinds]
    return {
        "names": names,
        "operating": named(breakdown.scores),
        "curves": _curves(breakdown),
        "groups": [_groups(one, names) for one in breakdown.groups],
        "confusion": breakdown.confusion.counts.tolist(),
        "errors": [_errors(one) for one in breakdown.errors],
        "quantiles": list(QUANTILES),
        "calibration": {
            "all": _calibration(breakdown.calibration.get(ALL)),
            "classes": {
                name: _calibration(one) for name, one in breakdown.calibration.items() if name
            },
        },
    }


def sample_list(breakdown: Breakdown) -> dict[str, Any]:
    """Token, scene, error and counts of each sample, as plain data."""
    scenes = list(dict.fromkeys(breakdown.boxes.scenes))
    place = {name: number for number, name in enumerate(scenes)}
    samples = breakdown.samples
    return {
        "tokens": list(breakdown.boxes.matches.tokens),
        "scenes": scenes,
        "descriptions": [breakdown.boxes.descriptions.get(name, "") for name in scenes],
        "scene": [place[name] for name in breakdown.boxes.scenes],
        "error": numbers(samples.error, 4),
        "hits": samples.hits.tolist(),
        "misses": samples.misses.tolist(),
        "false": samples.false.tolist(),
    }


def _curves(breakdown: Breakdown) -> list[dict[str, Any]]:
    """Precision and score at recalls 0 to 1, of each class and distance."""
    found = []
    for key, curve in breakdown.boxes.matches.details().items():
        name, _, distance = key.rpartition(":")
        found.append(
            {
                "name": name,
                "distance": float(distance),
                "precision": numbers(curve["precision"], 4),
                "score": numbers(curve["confidence"], 4),
            }
        )
    return found


def _groups(one: GroupPrecision, names: list[str]) -> dict[str, Any]:
    division = one.division
    return {
        "name": division.name,
        "title": division.title,
        "rule": division.rule,
        "shared": division.predicted_group is None,
        "groups": list(division.groups),
        "mean": numbers(one.mean_ap),
        "ap": [numbers(row) for row in one.class_ap],
        "count": one.num_gt.tolist(),
        "total": one.num_gt.sum(axis=0).tolist(),
    }


def _errors(one: ErrorDistribution) -> dict[str, Any]:
    return {
        "name": one.kind.name,
        "title": one.kind.title,
        "rule": one.kind.rule,
        "edges": numbers(one.kind.edges),
        "counts": {name: counts.tolist() for name, counts in one.counts.items()},
        "quantiles": {name: numbers(values, 4) for name, values in one.quantiles.items()},
        "total": np.sum([*one.counts.values()], axis=0).tolist() if one.counts else [],
    }


def _calibration(one: Calibration | None) -> dict[str, Any] | None:
    if one is None:
        return None
    return {
        "count": one.counts.tolist(),
        "score": numbers(one.score),
        "precision": numbers(one.precision),
        "error": number(one.error),
    }

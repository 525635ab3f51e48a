"""Divisions of boxes into groups: by range, azimuth, visibility, size, speed, time and weather."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.detection.columns import BoxColumns

NO_GROUP = -1

_RANGES = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)  # metres
_SIZES = (0.0, 1.0, 2.5, 5.0, 8.0)  # metres
_SPEEDS = (0.0, 0.2, 2.0, 5.0, 10.0)  # metres per second
_SECTORS = ("front", "front left", "back left", "back", "back right", "front right")
_VISIBILITIES = ("0-40 %", "40-60 %", "60-80 %", "80-100 %")


@dataclass(frozen=True)
class Division:
    """Division of the boxes of an evaluation into groups by one property.

    Attributes:
        name: short name.
        title: property, with its unit.
        rule: how the property is defined, one sentence.
        groups: names of the groups.
        gt_group: (G,) group of each ground-truth box, ``NO_GROUP`` where unknown.
        predicted_group: (P,) group of each predicted box by its own values; None if predicted boxes
            do not have the property.
    """

    name: str
    title: str
    rule: str
    groups: tuple[str, ...]
    gt_group: np.ndarray
    predicted_group: np.ndarray | None


def divisions(boxes: MatchedBoxes) -> list[Division]:
    """All divisions into groups for which the data have the property."""
    both = boxes.predicted, boxes.gt_boxes
    found = [
        _banded("range", "Distance from the ego vehicle", "Horizontal distance from the ego origin"
                " to the box's centre.", "m", _RANGES, *map(_distance, both)),
        _sectors(boxes),
        _visibility(boxes),
        _banded("size", "Size", "The longer side of the box on the ground.", "m", _SIZES,
                *map(_longer_side, both)),
        _banded("speed", "Speed", "Horizontal speed of the box, of classes that move; boxes of"
                " unknown speed are left out.", "m/s", _SPEEDS,
                *(_speed(boxes, columns) for columns in both)),
        _by_scene(boxes, "time", "Time of day", "night", ("day", "night")),
        _by_scene(boxes, "weather", "Weather", "rain", ("dry", "rain")),
    ]  # fmt: skip
    return [one for one in found if one is not None and (one.gt_group >= 0).any()]


def _banded(
    name: str,
    title: str,
    rule: str,
    unit: str,
    edges: Sequence[float],
    predicted: np.ndarray,
    gt_boxes: np.ndarray,
) -> Division:
    groups = [f"{low:g}-{high:g} {unit}" for low, high in zip(edges, edges[1:], strict=False)]
    return Division(
        name,
        title,
        rule,
        (*groups, f"{edges[-1]:g}+ {unit}"),
        _band(gt_boxes, edges),
        _band(predicted, edges),
    )


def _band(values: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Band of each value, its lower edge included; ``NO_GROUP`` for NaN."""
    return np.where(np.isnan(values), NO_GROUP, np.searchsorted(edges, values, "right") - 1)


def _distance(boxes: BoxColumns) -> np.ndarray:
    return np.hypot(boxes.translation[:, 0], boxes.translation[:, 1])


def _longer_side(boxes: BoxColumns) -> np.ndarray:
    return boxes.size[:, :2].max(axis=1)


def _speed(boxes: MatchedBoxes, columns: BoxColumns) -> np.ndarray:
    moves = {kind.name: kind.moves for kind in boxes.kinds}
    moving = np.array([moves.get(name, False) for name in columns.names])
    speed = np.hypot(columns.velocity[:, 0], columns.velocity[:, 1])
    return np.where(moving[columns.label], speed, np.nan)


def _sectors(boxes: MatchedBoxes) -> Division:
    def sector(columns: BoxColumns) -> np.ndarray:
        angle = np.degrees(np.arctan2(columns.translation[:, 1], columns.translation[:, 0]))
        return (np.floor((angle + 30) / 60) % 6).astype(int)

    return Division(
        "azimuth",
        "Direction from the ego vehicle",
        "Sectors of 60 degrees around the ego origin; front is 30 degrees to either side.",
        _SECTORS,
        sector(boxes.gt_boxes),
        sector(boxes.predicted),
    )


def _visibility(boxes: MatchedBoxes) -> Division:
    return Division(
        "visibility",
        "Visible share of the object",
        "As annotated, over all cameras.",
        _VISIBILITIES,
        np.asarray(boxes.gt_boxes.visibility, int) - 1,
        None,
    )


def _by_scene(
    boxes: MatchedBoxes, name: str, title: str, word: str, groups: tuple[str, str]
) -> Division | None:
    """Division by a word in the descriptions of scenes; None if no scene has it."""
    has = np.array([word in boxes.descriptions.get(s, "").lower() for s in boxes.scenes], int)
    if not has.any():
        return None
    rule = f"By whether the data set's description of the scene has the word {word!r}."
    gt_group, predicted_group = has[boxes.gt_boxes.sample], has[boxes.predicted.sample]
    return Division(name, title, rule, groups, gt_group, predicted_group)

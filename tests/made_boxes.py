"""Boxes from a few numbers each, matched, for hand-worked breakdowns."""

import numpy as np
from crowds import PARK, crowd

from bev.data.labels import LabelSpace
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.center_distance import counted_columns, match_columns
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matches import match_classes

NAMES = PARK.names  # van, gate, post


def columns(rows, tokens, labels: LabelSpace = PARK) -> BoxColumns:
    """Columns of boxes ``(token, name, x, y, further)``; further values are columns by name.

    Defaults: 1 x 1 x 1 m, heading 0, at rest, score 1, unknown visibility.
    """
    count = len(rows)
    more = [row[4] if len(row) > 4 else {} for row in rows]

    def column(name, default):
        return np.array([one.get(name, default) for one in more])

    yaw = column("yaw", 0.0)
    return BoxColumns(
        tuple(tokens),
        labels.names,
        labels.attributes,
        np.array([tokens.index(row[0]) for row in rows], int),
        np.array([labels.names.index(row[1]) for row in rows], int),
        np.full(count, -1),
        np.array([[row[2], row[3], 0.0] for row in rows], float).reshape(count, 3),
        np.array(column("size", (1.0, 1.0, 1.0)), float).reshape(count, 3),
        np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], axis=1),
        np.array(column("velocity", (0.0, 0.0)), float).reshape(count, 2),
        np.array(column("score", 1.0), float),
        np.full(count, -1),
        np.array(column("visibility", 0), int),
    )


def matched(
    predicted, gt_boxes, tokens=("a",), scenes=None, descriptions=None, labels=PARK
) -> MatchedBoxes:
    """Matched boxes of rows, see :func:`columns`."""
    sides = [columns(rows, tokens, labels) for rows in (predicted, gt_boxes)]
    matches = match_classes(*sides, labels.classes)
    scenes = scenes or tuple(f"scene of {token}" for token in tokens)
    return MatchedBoxes(matches, *sides, tuple(scenes), descriptions or {})


def crowded(seed: int) -> MatchedBoxes:
    """A crowd in three scenes, one at night and one in the rain."""
    counted = counted_columns(*crowd(seed, PARK), PARK)
    matches = match_columns(*counted, PARK)
    scenes = [f"scene {number % 3}" for number in range(len(matches.tokens))]
    descriptions = {"scene 0": "Night, parked vans", "scene 1": "Rain", "scene 2": "Many vans"}
    return MatchedBoxes(matches, *counted, tuple(scenes), descriptions)

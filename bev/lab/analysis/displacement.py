"""The velocity that places alone tell: where an object is found now, and where it was found before.

A network that is shown a time t and one dt before it can tell a velocity by the places of an object
at both. The error of that is the difference of the two errors of place over dt: it falls with dt,
and with how alike the errors are. But the network must find out which of the objects then is the
one of now, and that is the harder, the farther apart the times are. What both come to on a results
file, by a model of one frame too, tells which frames give a velocity that is worth telling.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bev.data.nuscenes.boxes import detection_labels
from bev.data.nuscenes.classes import CLASSES, NUSCENES
from bev.data.nuscenes.index import NO_ROW, Index
from bev.evaluation.matches import greedy, ranking
from bev.evaluation.nuscenes.official import CountedBoxes


class Displacement(NamedTuple):
    """Mean errors of displacement over time, metres a second.

    Attributes:
        known: where it is known which object is which.
        nearest: where each is taken for the one of its class that was found nearest to it before.
    """

    known: float
    nearest: float


class Found(NamedTuple):
    """An object that is found: where, and where it is (x, y), metres in the global frame."""

    told: np.ndarray
    true: np.ndarray


Hits = dict[str, dict[int, Found]]
"""What is found of a sample: by class, by object."""


def displacement_errors(
    boxes: CountedBoxes, index: Index, apart: Sequence[int]
) -> dict[int, Displacement]:
    """The errors of displacement over time of the objects found at two times.

    The mean over classes that have a velocity, of the mean over their objects. Found is what is a
    hit at the threshold of the official errors (2 m), whatever its score. The ground truth is the object's
    displacement between the same two key frames.

    Args:
        boxes: see ``counted_boxes``.
        index: the data set that they are of.
        apart: by how many key frames, each at least 1; what a scene's start cuts off does not
            count.

    Returns:
        By the number of key frames; NaN where no object is found twice.
    """
    tokens = boxes.gt_boxes.sample_tokens
    rows = index.rows_of(tokens).tolist()
    found = {row: _hits(boxes, index, token, row) for token, row in zip(tokens, rows, strict=True)}
    return {back: _mean_errors(found, index, back) for back in apart}


def _mean_errors(found: Mapping[int, Hits], index: Index, back: int) -> Displacement:
    errors = defaultdict(list)
    for row, now in found.items():
        before = row
        for _ in range(back):
            before = int(index.sample.prev[before]) if before != NO_ROW else NO_ROW
        if before not in found:
            continue
        seconds = (int(index.sample.timestamp[row]) - int(index.sample.timestamp[before])) * 1e-6
        for name, values in errors_between(found[before], now, seconds).items():
            errors[name] += values
    means = [np.mean(values, axis=0) for values in errors.values()]
    return Displacement(*np.mean(means, axis=0).tolist()) if means else Displacement(np.nan, np.nan)


def displacement_figures(
    boxes: CountedBoxes, index: Index, backs: Sequence[int]
) -> dict[str, float]:
    """:func:`displacement_errors` under the names that an evaluation reports them by, m/s."""
    found = displacement_errors(boxes, index, backs)
    return {
        f"AVE by {places} {back} apart": error
        for back, both in found.items()
        for places, error in zip(("places", "nearest places"), both, strict=True)
    }


def errors_between(before: Hits, now: Hits, seconds: float) -> dict[str, list[Displacement]]:
    """By class, the errors of each object that is found at two times so many seconds apart."""
    errors = defaultdict(list)
    for name, objects in now.items():
        then = before.get(name, {})
        places = np.array([other.told for other in then.values()])
        for thing, (told, true) in objects.items():
            if thing not in then:
                continue
            nearest = places[np.linalg.norm(places - told, axis=1).argmin()]
            moved = true - then[thing].true
            off = [told - place - moved for place in (then[thing].told, nearest)]
            errors[name].append(Displacement(*(np.linalg.norm(off, axis=1) / seconds).tolist()))
    return errors


def _hits(boxes: CountedBoxes, index: Index, token: str, sample: int) -> Hits:
    table, labels = index.sample_annotation, detection_labels(index)
    first, last = index.sample.annotations[sample : sample + 2]
    objects = {
        (int(labels[table.category[row]]), *table.translation[row]): int(table.instance[row])
        for row in range(first, last)
    }
    hits: Hits = defaultdict(dict)
    for name in boxes.config.class_names:
        gt_boxes = [box for box in boxes.gt_boxes[token] if box.detection_name == name]
        told = [box for box in boxes.predicted[token] if box.detection_name == name]
        if not (NUSCENES.classes[CLASSES.index(name)].moves and gt_boxes and told):
            continue
        told = [told[rank] for rank in ranking([box.detection_score for box in told])]
        is_at = np.array([box.translation[:2] for box in gt_boxes])
        found_at = np.array([box.translation[:2] for box in told])
        distance = np.linalg.norm(found_at[:, None] - is_at, axis=-1)
        for rank, nearest in greedy(distance, boxes.config.dist_th_tp):
            thing = objects[(CLASSES.index(name), *gt_boxes[nearest].translation)]
            hits[name][thing] = Found(found_at[rank], is_at[nearest])
    return hits

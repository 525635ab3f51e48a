"""Velocity errors of the displacement of detected objects between two key frames.

A network that is given two frames, dt apart, can compute an object's velocity from its positions in
both. The error of that velocity is the difference of the two position errors over dt: it falls with
dt, and it is small where the two errors are alike. But the network must also find the same object
in the earlier frame, which is harder the farther apart the frames are. Measured on a results file,
also of a single-frame model, the two errors show which frame distance gives a useful velocity.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.index import NO_ROW, Index
from bev.evaluation.detection.matching import assign, pairs_within, ranking
from bev.evaluation.detection.metrics import ERROR_DISTANCE
from bev.evaluation.nuscenes.official import CountedBoxes


class Displacement(NamedTuple):
    """Mean errors of displacement over time, metres per second.

    Attributes:
        by_instance: error if the earlier position is that of the same ground-truth instance.
        by_nearest: error if the earlier position is the nearest earlier detection of the class.
    """

    by_instance: float
    by_nearest: float


class Match(NamedTuple):
    """Predicted and ground-truth position (x, y) of a detected object, global frame, metres."""

    predicted: np.ndarray
    gt: np.ndarray


Hits = dict[str, dict[int, Match]]
"""Detected objects of one sample: class name -> instance -> match."""


def displacement_errors(
    boxes: CountedBoxes, index: Index, apart: Sequence[int]
) -> dict[int, Displacement]:
    """Errors of displacement over time of the objects that are detected in two key frames.

    The errors are averaged over the objects of each class, then over the classes that have a
    velocity. An object is detected if a box of any score is a hit at the threshold of the official
    errors (2 m). The ground truth is the object's displacement between the same two key frames.

    Args:
        boxes: predicted and ground-truth boxes, see ``counted_boxes``.
        index: index of the boxes' data set.
        apart: numbers of key frames between the two frames, each at least 1; samples without such
            an earlier key frame in their scene do not count.

    Returns:
        Errors by number of key frames; NaN where no object is detected in both frames.
    """
    hits = _hits(boxes, index)
    return {back: _mean_errors(hits, index, back) for back in apart}


def _mean_errors(hits: Mapping[int, Hits], index: Index, back: int) -> Displacement:
    errors: dict[str, list[Displacement]] = defaultdict(list)
    for row, now in hits.items():
        before = row
        for _ in range(back):
            before = int(index.sample.prev[before]) if before != NO_ROW else NO_ROW
        if before not in hits:
            continue
        seconds = (int(index.sample.timestamp[row]) - int(index.sample.timestamp[before])) * 1e-6
        for name, values in errors_between(hits[before], now, seconds).items():
            errors[name] += values
    means = [np.mean(values, axis=0) for values in errors.values()]
    return Displacement(*np.mean(means, axis=0).tolist()) if means else Displacement(np.nan, np.nan)


def displacement_figures(
    boxes: CountedBoxes, index: Index, backs: Sequence[int]
) -> dict[str, float]:
    """:func:`displacement_errors` under the names of an evaluation's report, m/s."""
    errors = displacement_errors(boxes, index, backs)
    return {
        f"AVE by {places} {back} apart": error
        for back, both in errors.items()
        for places, error in zip(("places", "nearest places"), both, strict=True)
    }


def errors_between(before: Hits, now: Hits, seconds: float) -> dict[str, list[Displacement]]:
    """Errors, by class, of the objects detected in two samples ``seconds`` apart."""
    errors = defaultdict(list)
    for name, matches in now.items():
        earlier = before.get(name, {})
        positions = np.array([match.predicted for match in earlier.values()])
        for instance, (predicted, gt) in matches.items():
            if instance not in earlier:
                continue
            nearest = positions[np.linalg.norm(positions - predicted, axis=1).argmin()]
            moved = gt - earlier[instance].gt
            off = [
                predicted - position - moved for position in (earlier[instance].predicted, nearest)
            ]
            errors[name].append(Displacement(*(np.linalg.norm(off, axis=1) / seconds).tolist()))
    return errors


def _hits(boxes: CountedBoxes, index: Index) -> dict[int, Hits]:
    """Detected objects of every sample, by its row in the ``sample`` table."""
    tokens = boxes.gt_boxes.tokens
    rows = index.rows_of(tokens).tolist()
    instances = [_instances(index, row) for row in rows]
    hits: dict[int, Hits] = {row: defaultdict(dict) for row in rows}
    both = [some.numbered(tokens) for some in (boxes.predicted, boxes.gt_boxes)]
    for label, kind in enumerate(NUSCENES.classes):
        if not kind.moves:
            continue
        predicted, gt_boxes = (some.take(some.label == label) for some in both)
        predicted = predicted.take(ranking(predicted.score))
        detections, matched, _ = pairs_within(predicted, gt_boxes, ERROR_DISTANCE)
        chosen = assign(detections, matched)
        for detection, gt_box in zip(detections[chosen], matched[chosen], strict=True):
            sample, center = int(gt_boxes.sample[gt_box]), gt_boxes.translation[gt_box]
            instance = instances[sample][(label, *center.tolist())]
            hits[rows[sample]][kind.name][instance] = Match(
                predicted.translation[detection, :2], center[:2]
            )
    return hits


def _instances(index: Index, sample: int) -> dict[tuple, int]:
    """Instance of each annotation of a sample, by its class and centre."""
    table, (_, rows) = index.sample_annotation, index.annotations_of([sample])
    labels = index.class_of_category[table.category[rows]].tolist()
    keys = (
        (label, *place)
        for label, place in zip(labels, table.translation[rows].tolist(), strict=True)
    )
    return dict(zip(keys, table.instance[rows].tolist(), strict=True))

"""The velocity that places alone tell: where an object is found now, and where it was found before.

A network that is shown a time t and one dt before it can tell a velocity by the places of an object
at both. The error of that is the difference of the two errors of place over dt: it falls with dt,
and with how alike the errors are. What it is on a results file, by a model of one frame too, tells
how far apart two frames must be for a velocity that is worth telling.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from bev.data.classes import CLASSES
from bev.data.index import NO_ROW, Index
from bev.data.nuscenes_boxes import detection_labels
from bev.evaluation.matches import MEANINGLESS, greedy, ranking
from bev.evaluation.official import CountedBoxes

Errors = dict[tuple[str, int], np.ndarray]
"""By class and object: where it is found, less where it is (x, y), metres."""


def displacement_errors(
    boxes: CountedBoxes, index: Index, apart: Sequence[int]
) -> dict[int, float]:
    """Mean error of displacement over time, metres a second, of objects found at both times.

    The mean over classes that have a velocity, of the mean over their objects. Found is what is a
    hit at the threshold of the official errors (2 m), whatever its score. The truth is the object's
    displacement between the same two key frames.

    Args:
        boxes: see ``counted_boxes``.
        index: the data set that they are of.
        apart: by how many key frames, each at least 1; what a scene's start cuts off does not
            count.

    Returns:
        By the number of key frames; NaN where no object is found twice.
    """
    tokens = boxes.truth.sample_tokens
    rows = index.rows_of(tokens).tolist()
    found = {
        row: _errors_of_place(boxes, index, token, row)
        for token, row in zip(tokens, rows, strict=True)
    }
    return {back: _mean_error(found, index, back) for back in apart}


def _mean_error(found: Mapping[int, Errors], index: Index, back: int) -> float:
    values = defaultdict(list)
    for row, own in found.items():
        before = row
        for _ in range(back):
            before = int(index.sample.prev[before]) if before != NO_ROW else NO_ROW
        earlier = found.get(before, {})
        seconds = (int(index.sample.timestamp[row]) - int(index.sample.timestamp[before])) * 1e-6
        for thing, error in own.items():
            if thing in earlier:
                values[thing[0]].append(np.linalg.norm(error - earlier[thing]) / seconds)
    means = [np.mean(errors) for errors in values.values()]
    return float(np.mean(means)) if means else float("nan")


def _errors_of_place(boxes: CountedBoxes, index: Index, token: str, sample: int) -> Errors:
    table, labels = index.sample_annotation, detection_labels(index)
    first, last = index.sample.annotations[sample : sample + 2]
    objects = {
        (int(labels[table.category[row]]), *table.translation[row]): int(table.instance[row])
        for row in range(first, last)
    }
    errors: Errors = {}
    for name in boxes.config.class_names:
        truth = [box for box in boxes.truth[token] if box.detection_name == name]
        told = [box for box in boxes.predicted[token] if box.detection_name == name]
        if "vel_err" in MEANINGLESS.get(name, ()) or not (truth and told):
            continue
        told = [told[rank] for rank in ranking([box.detection_score for box in told])]
        there = np.array([box.translation[:2] for box in truth])
        error = np.array([box.translation[:2] for box in told])[:, None] - there
        for rank, nearest in greedy(np.linalg.norm(error, axis=-1), boxes.config.dist_th_tp):
            thing = objects[(CLASSES.index(name), *truth[nearest].translation)]
            errors[name, thing] = error[rank, nearest]
    return errors

"""The velocity that places alone tell: where an object is found now, and where it was found before.

A network that is shown a time t and one dt before it can tell a velocity by the places of an object
at both. The error of that is the difference of the two errors of place over dt: it falls with dt,
and with how alike the errors are. What it is on a results file, by a model of one frame too, tells
how far apart two frames must be for a velocity that is worth telling.
"""

from collections import defaultdict

import numpy as np

from bev.data.index import NO_ROW, Index
from bev.evaluation.matches import MEANINGLESS, greedy
from bev.evaluation.official import CountedBoxes


def displacement_error(boxes: CountedBoxes, index: Index, back: int) -> float:
    """Mean error of displacement over time, metres a second, of objects found at both times.

    The mean over classes that have a velocity, of the mean over their objects. Found is what is a
    hit at the threshold of the official errors (2 m), whatever its score. The truth is the object's
    displacement between the same two key frames.

    Args:
        boxes: see ``counted_boxes``.
        index: the data set that they are of.
        back: how many key frames apart, at least 1; what a scene's start cuts off does not count.

    Returns:
        NaN where no object is found twice.
    """
    found = _errors_of_place(boxes, index)
    samples = dict(zip(found, index.rows_of(list(found)).tolist(), strict=True))
    tokens = {row: token for token, row in samples.items()}
    values = defaultdict(list)
    for token, row in samples.items():
        before = row
        for _ in range(back):
            before = int(index.sample.prev[before]) if before != NO_ROW else NO_ROW
        earlier = found.get(tokens.get(before), {})
        seconds = (int(index.sample.timestamp[row]) - int(index.sample.timestamp[before])) * 1e-6
        for key, error in found[token].items():
            if key in earlier:
                values[key[0]].append(np.linalg.norm(error - earlier[key]) / seconds)
    means = [np.mean(errors) for errors in values.values()]
    return float(np.mean(means)) if means else float("nan")


def _errors_of_place(
    boxes: CountedBoxes, index: Index
) -> dict[str, dict[tuple[str, int], np.ndarray]]:
    """By sample token, then by class and object: where it is found, less where it is (x, y)."""
    names = [n for n in boxes.config.class_names if "vel_err" not in MEANINGLESS.get(n, ())]
    table, result = index.sample_annotation, {}
    tokens = boxes.truth.sample_tokens
    for token, sample in zip(tokens, index.rows_of(tokens).tolist(), strict=True):
        first, last = index.sample.annotations[sample : sample + 2]
        objects = {tuple(table.translation[r]): int(table.instance[r]) for r in range(first, last)}
        own = result[token] = {}
        for name in names:
            truth = [box for box in boxes.truth[token] if box.detection_name == name]
            told = [box for box in boxes.predicted[token] if box.detection_name == name]
            if not (truth and told):
                continue
            told.sort(key=lambda box: -box.detection_score)
            there = np.array([box.translation[:2] for box in truth])
            error = np.array([box.translation[:2] for box in told])[:, None] - there
            for rank, nearest in greedy(np.linalg.norm(error, axis=-1), boxes.config.dist_th_tp):
                thing = objects[tuple(truth[nearest].translation)]
                own[name, thing] = error[rank, nearest]
    return result

"""Greedy matching of predicted boxes with ground truth by centre distance.

The matching of the nuScenes metrics (Caesar et al. 2020, section 3): detections take, best score
first, the nearest ground-truth box of their sample and class that is still free, if it is closer
than a threshold. Pairs of all samples are found at once; only the assignment is a loop.
"""

from collections.abc import Iterator

import numpy as np

from bev.data.labels import ObjectClass
from bev.evaluation.detection.arithmetic import length, scale_iou, yaw, yaw_difference
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.metrics import DISTANCES, ERRORS

_CHUNK = 1 << 18  # pairs of a detection and a ground-truth box whose distance is computed at once


def ranking(scores: np.ndarray) -> np.ndarray:
    """Rank like the devkit: indices by descending score, among equal scores the later one first."""
    return np.argsort(scores, kind="stable")[::-1]


def assign(detection: np.ndarray, gt_box: np.ndarray) -> np.ndarray:
    """Assign greedily: indices of the pairs that become matches.

    Args:
        detection: (P,) index of the detection of each pair; pairs of a better detection come first,
            and those of one detection in the order of their distance.
        gt_box: (P,) index of the ground-truth box of each pair.
    """
    taken = bytearray(int(gt_box.max()) + 1 if len(gt_box) else 0)
    last, chosen = -1, []
    for number, (first, second) in enumerate(zip(detection.tolist(), gt_box.tolist(), strict=True)):
        if first != last and not taken[second]:
            taken[second] = 1
            last = first
            chosen.append(number)
    return np.array(chosen, np.int64)


def pairs_within(
    predicted: BoxColumns, gt_boxes: BoxColumns, farthest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of boxes of one sample whose centres are closer than ``farthest``.

    Args:
        predicted: D boxes of one class, best score first.
        gt_boxes: G boxes of the class; ``sample`` is an index into the same tokens.
        farthest: metres.

    Returns:
        (P,) indices of the predicted and of the ground-truth boxes, and distances; ordered by
        predicted box, then by distance, then by ground-truth box.
    """
    by_sample = np.argsort(gt_boxes.sample, kind="stable")
    ordered = gt_boxes.sample[by_sample]
    first, last = (np.searchsorted(ordered, predicted.sample, side) for side in ("left", "right"))
    parts = [_close(predicted, gt_boxes, by_sample, chunk, first, last, farthest)
             for chunk in _chunks(last - first)]  # fmt: skip
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    detection, gt_box, distance = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((gt_box, distance, detection))
    return detection[order], gt_box[order], distance[order]


def _chunks(counts: np.ndarray) -> Iterator[slice]:
    """Slices of detections that have about ``_CHUNK`` pairs together."""
    if not len(counts):
        return
    ends = np.cumsum(counts)
    cuts = np.searchsorted(ends, np.arange(_CHUNK, int(ends[-1]), _CHUNK), "left") + 1
    edges = np.unique([0, *cuts.tolist(), len(counts)])
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        yield slice(begin, end)


def _close(
    predicted: BoxColumns,
    gt_boxes: BoxColumns,
    by_sample: np.ndarray,
    chunk: slice,
    first: np.ndarray,
    last: np.ndarray,
    farthest: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of some detections; those of detection d are ``by_sample[first[d]:last[d]]``."""
    counts = last[chunk] - first[chunk]
    detection = np.repeat(np.arange(chunk.start, chunk.stop), counts)
    starts = np.repeat(first[chunk] - (np.cumsum(counts) - counts), counts)
    gt_box = by_sample[starts + np.arange(len(detection))]
    apart = predicted.translation[detection, :2] - gt_boxes.translation[gt_box, :2]
    near = (np.abs(apart) < farthest).all(axis=1)
    detection, gt_box, distance = detection[near], gt_box[near], length(apart[near])
    close = distance < farthest
    return detection[close], gt_box[close], distance[close]


def errors_of(
    predicted: BoxColumns, gt_boxes: BoxColumns, distance: np.ndarray, kind: ObjectClass
) -> dict[str, np.ndarray]:
    """The five errors of matched boxes, pair by pair; NaN where one is unknown.

    Args:
        predicted, gt_boxes: P boxes each.
        distance: (P,) distances of the centres.
        kind: class of the boxes.
    """
    period = np.pi if kind.heading == "axis" else 2 * np.pi
    wrong = (gt_boxes.attribute != predicted.attribute).astype(float)
    errors = {
        "trans_err": distance,
        "scale_err": 1 - scale_iou(gt_boxes.size, predicted.size),
        "orient_err": yaw_difference(yaw(gt_boxes.rotation), yaw(predicted.rotation), period),
        "vel_err": length(predicted.velocity - gt_boxes.velocity),
        "attr_err": np.where(gt_boxes.attribute < 0, np.nan, wrong),
    }
    return {name: errors[name] for name in ERRORS}


def matches_at(
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Matches at each of ``DISTANCES``, from the pairs of :func:`pairs_within` the largest."""
    found = []
    for threshold in DISTANCES:
        detection, gt_box, distance = (column[pairs[2] < threshold] for column in pairs)
        chosen = assign(detection, gt_box)
        found.append((detection[chosen], gt_box[chosen], distance[chosen]))
    return found

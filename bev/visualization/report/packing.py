"""Packing of the boxes of many samples into few bytes.

Columns of whole numbers, one after the other, are compressed as a whole; the page unpacks them when
the first sample is opened. Lengths are in units of a centimetre (more where a box is farther away
than 320 m), headings in 256ths of a turn, velocities in tenths of a metre per second. Nothing else
of the page is computed from these numbers.
"""

import base64
import zlib
from typing import Any

import numpy as np

from bev.evaluation.breakdown.breakdown import Breakdown
from bev.evaluation.breakdown.samples import at_operating_scores
from bev.evaluation.detection.arithmetic import yaw
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matching import ranking

MOST_BOXES = 60  # predicted boxes of a sample
UNKNOWN = -32768  # a velocity
_LARGEST = 32000


def pack(breakdown: Breakdown) -> dict[str, Any]:
    """Pack the boxes of all samples for the page.

    Of the predicted boxes those of at least half the operating score of their class are kept, the
    best ``MOST_BOXES`` of a sample; all those of at least the operating score, whatever their
    number, as their outcomes are listed.
    """
    boxes = breakdown.boxes
    counted = at_operating_scores(boxes, breakdown.scores)
    halved = {name: score / 2 for name, score in breakdown.scores.items()}
    rows = ranking(boxes.predicted.score)
    rows = rows[np.argsort(boxes.predicted.sample[rows], kind="stable")]
    place = _within_sample(boxes.predicted.sample[rows])
    best = at_operating_scores(boxes, halved) & (boxes.predicted.score > 0)
    rows = rows[counted[rows] | (best[rows] & (place < MOST_BOXES))]
    gt_rows = np.argsort(boxes.gt_boxes.sample, kind="stable")
    gt_place = np.zeros(len(gt_rows), int)
    gt_place[gt_rows] = _within_sample(boxes.gt_boxes.sample[gt_rows])
    predicted, gt_boxes = boxes.predicted.take(rows), boxes.gt_boxes.take(gt_rows)
    matched = boxes.gt_of_predicted[rows]
    unit = _unit(predicted, gt_boxes)
    low, step = _score_steps(predicted.score)
    columns = {
        **{f"gt_{name}": column for name, column in _columns(gt_boxes, unit).items()},
        **{f"p_{name}": column for name, column in _columns(predicted, unit).items()},
        "p_score": np.round((predicted.score - low) / step).astype("<u2"),
        "p_gt": np.where(matched >= 0, gt_place[matched] + 1, 0).astype("<u2"),
        "p_counted": counted[rows].astype("u1"),
    }
    size = len(boxes.matches.tokens)
    return {
        "unit": unit,
        "scores": [low, step],
        "unknown": UNKNOWN,
        "most": MOST_BOXES,
        "gt_counts": np.bincount(gt_boxes.sample, minlength=size).tolist(),
        "p_counts": np.bincount(predicted.sample, minlength=size).tolist(),
        "columns": [[name, column.dtype.str.lstrip("<|")] for name, column in columns.items()],
        "data": compressed(b"".join(column.tobytes() for column in columns.values())),
    }


def compressed(content: bytes) -> str:
    """Compressed bytes (zlib, what browsers name "deflate") as text (base64)."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _columns(boxes: BoxColumns, unit: float) -> dict[str, np.ndarray]:
    place = np.round(boxes.translation[:, :2] / unit).astype("<i2")
    sides = np.round(boxes.size[:, :2] / unit).clip(1, 65535).astype("<u2")
    turn = np.round(yaw(boxes.rotation) * 128 / np.pi).astype(int) % 256
    speed = np.round(boxes.velocity * 10).clip(-_LARGEST, _LARGEST)
    speed = np.where(np.isnan(speed), UNKNOWN, speed).astype("<i2")
    return {
        "x": place[:, 0],
        "y": place[:, 1],
        "width": sides[:, 0],
        "length": sides[:, 1],
        "yaw": turn.astype("u1"),
        "vx": speed[:, 0],
        "vy": speed[:, 1],
        "label": boxes.label.astype("<u2"),
    }


def _within_sample(sample: np.ndarray) -> np.ndarray:
    """Place of each box among those of its sample; boxes are ordered by sample."""
    first = np.searchsorted(sample, sample)
    return np.arange(len(sample)) - first


def _unit(*boxes: BoxColumns) -> float:
    farthest = max((float(np.abs(b.translation[:, :2]).max(initial=0)) for b in boxes), default=0)
    return max(0.01, farthest / _LARGEST)


def _score_steps(scores: np.ndarray) -> tuple[float, float]:
    """Lowest score and step, of which 65,535 reach the highest."""
    if not len(scores):
        return 0.0, 1.0
    low, high = min(float(scores.min()), 0.0), max(float(scores.max()), 1.0)
    return low, (high - low) / 65535

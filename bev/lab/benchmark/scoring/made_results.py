"""Detections for synthetic tables: their boxes with errors, and false boxes around them."""

from pathlib import Path

import numpy as np

from bev.data.nuscenes.classes import NUSCENES
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.splits import split_rows
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.nuscenes.ground_truth import gt_boxes_of
from bev.evaluation.nuscenes.submission import write_submission
from bev.lab.benchmark.synthetic_tables import VERSION


def write_results(path: Path, root: Path, boxes: int, seed: int = 0) -> Path:
    """Write a results file of the split val.

    Args:
        path: file to write.
        root: data root, from ``write_tables``.
        boxes: boxes in each sample: one near each ground-truth box, the others anywhere.
        seed: random seed.
    """
    index = open_index(root, VERSION)
    gt_boxes = gt_boxes_of(index, split_rows(index, "val").tolist())
    starts = np.searchsorted(gt_boxes.sample, np.arange(len(gt_boxes.tokens) + 1))
    rng = np.random.default_rng(seed)
    rows = {
        token: _rows(gt_boxes.take(np.arange(*starts[number : number + 2])), token, boxes, rng)
        for number, token in enumerate(gt_boxes.tokens)
    }
    return write_submission(path, rows)


def _rows(near: BoxColumns, token: str, count: int, rng: np.random.Generator) -> list[dict]:
    """Rows of one sample, best score first."""
    source = rng.integers(0, max(len(near), 1), count) if len(near) else np.zeros(0, int)
    source[: len(near)] = np.arange(min(len(near), count))
    close = np.arange(len(source)) < len(near)
    spread = np.where(close, 0.7, 20.0)[:, None]
    places = near.translation[source] + spread * rng.normal(size=(len(source), 3))
    sizes = near.size[source] * np.exp(0.1 * rng.normal(size=(len(source), 3)))
    speeds = np.nan_to_num(near.velocity[source]) + 0.3 * rng.normal(size=(len(source), 2))
    scores = rng.random(len(source)) * np.where(close, 1.0, 0.5)
    rows = []
    for row in np.argsort(-scores).tolist():
        kind = NUSCENES.classes[near.label[source[row]]]
        rows.append(
            {
                "sample_token": token,
                "translation": places[row].tolist(),
                "size": sizes[row].tolist(),
                "rotation": near.rotation[source[row]].tolist(),
                "velocity": speeds[row].tolist(),
                "detection_name": kind.name,
                "detection_score": float(scores[row]),
                "attribute_name": kind.at_rest,
            }
        )
    return rows

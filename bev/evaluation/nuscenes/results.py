"""Reading of a nuScenes results file into columns, sample by sample."""

import math
from collections.abc import Collection
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.errors import SubmissionError
from bev.evaluation.detection.columns import WIDTHS, BoxColumns
from bev.evaluation.detection.metrics import MAX_BOXES
from bev.evaluation.nuscenes.json_members import JsonMembers
from bev.evaluation.nuscenes.rows import check_rows

_LABELS = {name: number for number, name in enumerate(CLASSES)}
_ATTRIBUTES = {name: number for number, name in enumerate(ATTRIBUTES)} | {"": -1}

Part = dict[str, np.ndarray]


def read_results(
    path: Path | str, samples: Collection[str] | None = None, min_score: float = -math.inf
) -> tuple[BoxColumns, dict]:
    """Read the boxes of a results file, in the order of the file, and its ``meta`` entry.

    Args:
        path: results file, see ``bev.evaluation.nuscenes.submission``.
        samples: samples to read, all others are left out; None for all.
        min_score: boxes with a lower score are left out; a large file then needs little memory.

    Raises:
        SubmissionError: if the file is missing, is not a nuScenes detection submission, or a sample
            has a box that cannot be scored or too many boxes.
    """
    path = Path(path)
    if not path.is_file():
        raise SubmissionError(f"Results file {path} does not exist; name a results_nusc.json.")
    parts: dict[str, Part] | None = None
    meta = None
    try:
        with path.open(encoding="utf-8-sig") as file:
            reader = JsonMembers(file)
            if reader.next() != "{":
                reader.value()
            for key in reader.members() if reader.next() else ():
                if key == "results" and reader.next() == "{":
                    parts = {}
                    for token in reader.members():
                        rows = reader.value()
                        if samples is None or token in samples:
                            parts[token] = _above(min_score, _part(path, token, rows))
                    continue
                value = reader.value()
                meta = value if key == "meta" else meta
            if reader.next():
                raise ValueError("text follows the end of the object")
    except ValueError as error:  # also of bytes that are not text
        raise SubmissionError(f"Results file {path} is not JSON ({error}).") from error
    if parts is None or not isinstance(meta, dict):
        raise SubmissionError(
            f"Results file {path} lacks 'results' or 'meta'; it is not a nuScenes submission."
        )
    return _joined(parts), meta


def _above(min_score: float, part: Part) -> Part:
    if min_score == -math.inf:
        return part
    keep = part["score"] >= min_score
    return {name: column[keep] for name, column in part.items()}


def _joined(parts: dict[str, Part]) -> BoxColumns:
    counts = [len(part["label"]) for part in parts.values()]
    empty = _columns("", [])
    columns = {
        name: np.concatenate([empty[name], *(part[name] for part in parts.values())])
        for name in empty
    }
    sample = np.repeat(np.arange(len(parts)), counts)
    return BoxColumns(tuple(parts), CLASSES, ATTRIBUTES, sample, **columns)


def _part(path: Path, token: str, rows: Any) -> Part:
    """The columns of one sample.

    Raises:
        SubmissionError: names the first box and field that cannot be scored.
    """
    if not isinstance(rows, list):
        check_rows(path, token, rows)  # names the fault
    if len(rows) > MAX_BOXES:
        raise SubmissionError(
            f"Results file {path}, sample {token} has {len(rows)} boxes; {MAX_BOXES} are allowed."
        )
    try:
        return _columns(token, rows)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
        check_rows(path, token, rows)
        raise


def _columns(token: str, rows: list) -> Part:
    """Convert the boxes of one sample; the rules are those of ``bev.evaluation.nuscenes.rows``.

    Raises:
        KeyError, TypeError, ValueError, OverflowError, AttributeError: if a box breaks a rule.
    """
    numbers = {name: _numbers([row[name] for row in rows], width) for name, width in WIDTHS.items()}
    scores = _numbers([(row["detection_score"],) for row in rows], 1)[:, 0]
    known = [numbers["translation"], numbers["size"], numbers["rotation"], scores]
    good = (
        all(np.isfinite(column).all() for column in known)
        and (numbers["size"] > 0).all()
        and numbers["rotation"].any(axis=1).all()
        and not np.isinf(numbers["velocity"]).any()
        and all(row["sample_token"] == token for row in rows)
    )
    points = [row.get("num_pts", -1) for row in rows]
    if not good or not {*map(type, points)} <= {int}:
        raise ValueError("see check_rows")
    return {
        **numbers,
        "score": scores,
        "label": np.array([_LABELS[row["detection_name"]] for row in rows], np.int8),
        "attribute": np.array([_ATTRIBUTES[row["attribute_name"]] for row in rows], np.int8),
        "points": np.array(points, np.int64),
        "visibility": np.zeros(len(rows), np.int8),
    }


def _numbers(values: list, width: int) -> np.ndarray:
    """(n, width) array of n lists of numbers; neither strings nor truth values are numbers."""
    if not {*map(len, values)} <= {width}:
        raise ValueError("lists of another length")
    flat = [*chain.from_iterable(values)]
    if not {*map(type, flat)} <= {int, float}:
        raise ValueError("not numbers")
    return np.array(flat, float).reshape(len(values), width)

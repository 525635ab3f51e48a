"""JSON file of the predicted boxes of a split, for any label space.

Classes and attributes are stored by name, so the file stays valid if their order changes; numbers
are stored exactly:

    {"frame": "ego", "dtype": "float32", "results": {"<sample token>": [
        {"class": "van", "center": [x, y, z], "size": [length, width, height], "yaw": radians,
         "velocity": [vx, vy], "score": 0.5, "attribute": ""}, ...]}}

Boxes are in the sample's reference ego frame, in metres; an unknown velocity is null, and an
unknown attribute is empty. Every sample of the split is a key, with an empty list if nothing was
detected.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from bev.data.boxes_file.rows import box_rows, boxes_of_rows
from bev.data.labels import LabelSpace
from bev.errors import BevError, SubmissionError
from bev.files import replacing
from bev.geometry import Boxes3D
from bev.plain_json import load_json

RESULTS = "results.json"

_DTYPES = {"float32": torch.float32, "float64": torch.float64}


def check_boxes(
    token: str,
    boxes: Boxes3D,
    labels: LabelSpace,
    what: str = "predicted",
    error: type[BevError] = SubmissionError,
) -> None:
    """Raise an error if boxes cannot be scored.

    Args:
        token: token of the sample, for the message.
        boxes: boxes of one sample.
        labels: label space of the boxes.
        what: kind of boxes, for the message.
        error: class of the error.

    Raises:
        SubmissionError: or ``error``, if a centre, size, heading or score is not finite, a size is
            not positive, or a label or attribute is not in the label space.
    """
    numbers = torch.cat([boxes.center, boxes.size, boxes.yaw[:, None], boxes.score[:, None]], dim=1)
    name = token[:100]
    good = numbers.isfinite().all(dim=1) & (boxes.size > 0).all(dim=1)
    if not good.all():
        raise error(
            f"Sample {name} has {int((~good).sum())} of {len(boxes)} {what} boxes with a centre,"
            " size, heading or score that is not finite or a size that is not positive; fix"
            " the code that creates them."
        )
    for kind, value, lowest, names in (
        ("class", boxes.label, 0, labels.names),
        ("attribute", boxes.attribute, -1, labels.attributes),
    ):
        wrong = value[(value < lowest) | (value >= len(names))]
        if len(wrong):
            raise error(
                f"Sample {name} has a {what} box of {kind} number {int(wrong[0])}; the label space"
                f" has {len(names)}: {', '.join(names) or 'none'}."
            )


def write_boxes(
    path: Path | str, boxes_by_token: Mapping[str, Boxes3D], labels: LabelSpace
) -> Path:
    """Write the predicted boxes of a split atomically.

    Args:
        path: file to write; its folder is created if needed.
        boxes_by_token: boxes of every sample, in its reference ego frame; float32 or float64. Their
            visibility is not stored.
        labels: label space of the boxes.

    Raises:
        SubmissionError: for boxes that cannot be scored, see :func:`check_boxes`.
    """
    results = {}
    dtype = torch.float32
    for token, boxes in boxes_by_token.items():
        boxes = boxes.to("cpu")
        check_boxes(token, boxes, labels)
        dtype = torch.promote_types(dtype, boxes.center.dtype)
        results[token] = box_rows(boxes, labels.names, labels.attributes)
    content = {"frame": "ego", "dtype": str(dtype).removeprefix("torch."), "results": results}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, allow_nan=False))
    return path


def read_boxes(path: Path | str, labels: LabelSpace) -> dict[str, Boxes3D]:
    """Read the boxes that :func:`write_boxes` wrote, by sample token, bit for bit.

    Args:
        path: file to read.
        labels: label space of the returned boxes, with every class and attribute of the file.

    Raises:
        SubmissionError: if the file is missing or is not a file of predicted boxes; names the
            sample and the error.
    """
    path = Path(path)
    if not path.is_file():
        raise SubmissionError(f"Results file {path} does not exist; name a {RESULTS}.")
    try:
        content = load_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SubmissionError(f"Results file {path} is not JSON ({error}).") from error
    results = content.get("results") if isinstance(content, dict) else None
    dtype = content.get("dtype", "float32") if isinstance(results, dict) else None
    if not isinstance(results, dict) or dtype not in [*_DTYPES] or content.get("frame") != "ego":
        raise SubmissionError(
            f"Results file {path} lacks 'results', its 'frame' is not 'ego', or its 'dtype' is none"
            f" of {', '.join(_DTYPES)}; it is not a {RESULTS} of predicted boxes."
        )
    found = {}
    for token, rows in results.items():
        try:
            boxes = boxes_of_rows(rows, labels.names, labels.attributes, _DTYPES[dtype])
            check_boxes(token, boxes, labels)
        except SubmissionError as error:
            raise SubmissionError(f"Results file {path}: {error}") from error
        except ValueError as error:
            raise SubmissionError(f"Results file {path}, sample {token[:100]}: {error}.") from error
        found[token] = boxes
    return found

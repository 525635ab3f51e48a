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

from bev.data.labels import LabelSpace
from bev.errors import BevError, SubmissionError, shown
from bev.files import replacing
from bev.geometry import Boxes3D
from bev.plain_json import is_number, load_json

RESULTS = "results.json"

_DTYPES = {"float32": torch.float32, "float64": torch.float64}
_NUMBERS = {
    "center": 3,
    "size": 3,
    "yaw": 1,
    "score": 1,
}  # number of values; these fields are never unknown


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
        results[token] = _rows(boxes, labels)
    content = {"frame": "ego", "dtype": str(dtype).removeprefix("torch."), "results": results}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, allow_nan=False))
    return path


def _rows(boxes: Boxes3D, labels: LabelSpace) -> list[dict]:
    known = boxes.velocity.isfinite().all(dim=1).tolist()
    columns = {name: getattr(boxes, name).tolist() for name in _NUMBERS}
    velocity, names = boxes.velocity.tolist(), (*labels.attributes, "")  # -1 selects the last
    return [
        {
            "class": labels.names[label],
            **{name: values[row] for name, values in columns.items()},
            "velocity": velocity[row] if known[row] else None,
            "attribute": names[attribute],
        }
        for row, (label, attribute) in enumerate(
            zip(boxes.label.tolist(), boxes.attribute.tolist(), strict=True)
        )
    ]


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
            boxes = _boxes(rows, labels, _DTYPES[dtype])
            check_boxes(token, boxes, labels)
        except SubmissionError as error:
            raise SubmissionError(f"Results file {path}: {error}") from error
        except _Damaged as error:
            raise SubmissionError(f"Results file {path}, sample {token[:100]}: {error}") from error
        found[token] = boxes
    return found


class _Damaged(Exception):
    """The rows of a sample do not have the expected format."""


def _boxes(rows: object, labels: LabelSpace, dtype: torch.dtype) -> Boxes3D:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _Damaged("it should be a list of boxes, each of them a mapping.")
    count = len(rows)
    values = {
        name: _numbers(name, [row.get(name) for row in rows], length, dtype)
        for name, length in _NUMBERS.items()
    }
    velocity = [row.get("velocity") for row in rows]
    known = [[0.0, 0.0] if value is None else value for value in velocity]
    unknown = torch.tensor([value is None for value in velocity], dtype=torch.bool)
    return Boxes3D.make(
        values["center"],
        values["size"],
        values["yaw"].reshape(count),
        _numbers("velocity", known, 2, dtype).masked_fill(unknown[:, None], torch.nan),
        _places("class", [row.get("class") for row in rows], labels.names),
        values["score"].reshape(count),
        _places("attribute", [row.get("attribute", "") for row in rows], labels.attributes, ""),
    )


def _numbers(name: str, values: list, length: int, dtype: torch.dtype) -> torch.Tensor:
    """Convert to a (M, length) tensor."""
    for value in values:
        parts = value if length > 1 else [value]
        if not isinstance(parts, list) or len(parts) != length or not all(map(is_number, parts)):
            raise _Damaged(
                f"the {name!r} of a box is {shown(value)}, not {length} finite"
                f" number{'s' * (length > 1)}."
            )
    return torch.tensor(values, dtype=dtype).reshape(len(values), length)


def _places(
    kind: str, names: list, known: tuple[str, ...], none: str | None = None
) -> torch.Tensor:
    """Return the (M,) indices of names in a list; -1 for the name ``none``."""
    place = {name: number for number, name in enumerate(known)}
    if none is not None:
        place[none] = -1
    for name in names:
        if not isinstance(name, str) or name not in place:
            raise _Damaged(
                f"a box has the {kind} {shown(name)}, which is not in the label space; it has"
                f" {', '.join(known) or 'none'}."
            )
    return torch.tensor([place[name] for name in names], dtype=torch.long)

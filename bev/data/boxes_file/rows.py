"""Boxes as JSON rows, with classes and attributes by name."""

from collections.abc import Sequence

import torch
from torch import Tensor

from bev.errors import count_of, shown
from bev.geometry import Boxes3D
from bev.plain_json import is_number

_NUMBERS = {"center": 3, "size": 3, "yaw": 1, "score": 1}  # number of values


def box_rows(
    boxes: Boxes3D, classes: Sequence[str], attributes: Sequence[str], short: bool = False
) -> list[dict]:
    """Convert boxes to rows; an unknown velocity is None, an unknown attribute empty.

    Args:
        boxes: boxes on the CPU.
        classes: names of the classes, by ``boxes.label``.
        attributes: names of the attributes, by ``boxes.attribute``.
        short: write float32 numbers with the fewest digits that give the same float32 (0.1, not
            0.10000000149011612); slower.
    """
    numbers = _short if short else Tensor.tolist
    known = boxes.velocity.isfinite().all(dim=1).tolist()
    columns = {name: numbers(getattr(boxes, name)) for name in _NUMBERS}
    velocity, names = numbers(boxes.velocity), (*attributes, "")  # -1 selects the last
    return [
        {
            "class": classes[label],
            **{name: values[row] for name, values in columns.items()},
            "velocity": velocity[row] if known[row] else None,
            "attribute": names[attribute],
        }
        for row, (label, attribute) in enumerate(
            zip(boxes.label.tolist(), boxes.attribute.tolist(), strict=True)
        )
    ]


def boxes_of_rows(
    rows: object, classes: Sequence[str], attributes: Sequence[str], dtype: torch.dtype
) -> Boxes3D:
    """Convert rows to boxes; the inverse of :func:`box_rows`.

    Raises:
        ValueError: for rows of another format; a clause that names the field and its value.
    """
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it should be a list of boxes, each of them a mapping")
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
        _places("class", [row.get("class") for row in rows], classes),
        values["score"].reshape(count),
        _places("attribute", [row.get("attribute", "") for row in rows], attributes, ""),
    )


def _short(values: Tensor) -> list:
    if values.dtype != torch.float32:
        return values.tolist()
    flat = values.numpy().ravel()
    return torch.tensor([float(str(value)) for value in flat], dtype=torch.float64).reshape(
        values.shape
    ).tolist()  # fmt: skip


def _numbers(name: str, values: list, length: int, dtype: torch.dtype) -> Tensor:
    """Convert to a (M, length) tensor."""
    for value in values:
        parts = value if length > 1 else [value]
        if not isinstance(parts, list) or len(parts) != length or not all(map(is_number, parts)):
            raise ValueError(
                f"the {name!r} of a box is {shown(value)}, not {count_of(length, 'finite number')}"
            )
    return torch.tensor(values, dtype=dtype).reshape(len(values), length)


def _places(kind: str, names: list, known: Sequence[str], none: str | None = None) -> Tensor:
    """Return the (M,) indices of names in a list; -1 for the name ``none``."""
    place = {name: number for number, name in enumerate(known)}
    if none is not None:
        place[none] = -1
    for name in names:
        if not isinstance(name, str) or name not in place:
            raise ValueError(
                f"a box has the {kind} {shown(name)}, which is not in the label space; it has"
                f" {', '.join(known) or 'none'}"
            )
    return torch.tensor([place[name] for name in names], dtype=torch.long)

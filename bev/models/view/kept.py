"""Geometry that is kept while the rig stays, for inference.

A pooling plan depends on the calibration alone, which for most rigs is the same in every frame.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

_T = TypeVar("_T")
_Key = list[Any]  # tensors, and other values


class KeptGeometry:
    """The latest results of functions of the calibration, found again by equal inputs.

    Threads may share it. Inputs are equal if every number is, bit for bit, so a result is that of
    its computation; poses of absent cameras, which are NaN, equal nothing.

    Args:
        limit: number of results; the one that was used least recently is dropped first. A temporal
            model has one for each of its times, and as many again with flip test-time augmentation.
    """

    def __init__(self, limit: int = 8) -> None:
        self.limit = limit
        self._entries: tuple[tuple[_Key, Any], ...] = ()  # the latest first

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, compute: Callable[..., _T], *inputs: Any) -> _T:
        """``compute(*inputs)``, or its kept result.

        Args:
            compute: function of the inputs alone, the same one at every call.
            inputs: tensors, cameras, sizes and other values.
        """
        key = list(_parts(inputs))
        entries = self._entries  # another thread may replace it
        for entry in entries:
            if _equal(entry[0], key):
                break
        else:
            copies = [part.clone() if isinstance(part, Tensor) else part for part in key]
            entry = (copies, compute(*inputs))
        others = (one for one in entries if one is not entry)
        self._entries = (entry, *others)[: self.limit]
        return entry[1]

    def __deepcopy__(self, memo: dict) -> "KeptGeometry":
        return KeptGeometry(self.limit)

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self.limit, "_entries": ()}


def _parts(value: Any) -> Iterator[Any]:
    """Tensors and other values in a value, and the class of each part."""
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        yield type(value)
        for field in fields(value):
            yield from _parts(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        yield len(value)
        for part in value:
            yield from _parts(part)
    else:
        yield value


def _equal(first: _Key, second: _Key) -> bool:
    return len(first) == len(second) and all(
        _same(*pair) for pair in zip(first, second, strict=True)
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
            return False
        same = (a.shape, a.dtype, a.device) == (b.shape, b.dtype, b.device)
        return same and torch.equal(a, b)
    return bool(a == b)

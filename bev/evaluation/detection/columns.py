"""Boxes of many samples as arrays, one row a box: the form in which detections are scored."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

# Columns that have several numbers a box, and how many.
WIDTHS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}


class Box(NamedTuple):
    """Box of any class, with the fields that its metrics use.

    The centre, the quaternion (w, x, y, z) and the velocity (NaN where unknown) are in any frame
    that the boxes of a sample share; the size is (width, length, height); an empty attribute name
    stands for no attribute.
    """

    sample_token: str
    translation: Sequence[float]
    size: Sequence[float]
    rotation: Sequence[float]
    velocity: Sequence[float]
    detection_name: str
    detection_score: float
    attribute_name: str


@dataclass(frozen=True)
class BoxColumns:
    """n boxes of S samples.

    Attributes:
        tokens: tokens of the samples, also of samples without boxes.
        names: class names.
        attributes: attribute names.
        sample: (n,) index into ``tokens``.
        label: (n,) index into ``names``.
        attribute: (n,) index into ``attributes``, -1 for none.
        translation, size, rotation, velocity, score: (n, 3), (n, 3), (n, 4), (n, 2), (n,) float64,
            see :class:`Box`.
        points: (n,) lidar and radar points in the box, -1 where unknown.
    """

    tokens: tuple[str, ...]
    names: tuple[str, ...]
    attributes: tuple[str, ...]
    sample: np.ndarray
    label: np.ndarray
    attribute: np.ndarray
    translation: np.ndarray
    size: np.ndarray
    rotation: np.ndarray
    velocity: np.ndarray
    score: np.ndarray
    points: np.ndarray

    @classmethod
    def of(
        cls,
        boxes: Iterable[Box],
        tokens: Iterable[str],
        names: Sequence[str],
        attributes: Sequence[str],
    ) -> "BoxColumns":
        """Create from single boxes, in their order."""
        rows, tokens = list(boxes), tuple(tokens)
        place = {token: number for number, token in enumerate(tokens)}
        numbers = {
            name: np.array([getattr(box, name) for box in rows], float).reshape(len(rows), width)
            for name, width in WIDTHS.items()
        }
        return cls(
            tokens,
            tuple(names),
            tuple(attributes),
            np.array([place[box.sample_token] for box in rows], np.int64),
            np.array([names.index(box.detection_name) for box in rows], np.int64),
            np.array([index_of(attributes, box.attribute_name) for box in rows], np.int64),
            score=np.array([box.detection_score for box in rows], float),
            points=np.full(len(rows), -1),
            **numbers,
        )

    def __len__(self) -> int:
        return len(self.sample)

    def __iter__(self) -> Iterator[Box]:
        """Iterate over single boxes."""
        for row in range(len(self)):
            attribute = self.attribute[row]
            yield Box(
                self.tokens[self.sample[row]],
                tuple(self.translation[row].tolist()),
                tuple(self.size[row].tolist()),
                tuple(self.rotation[row].tolist()),
                tuple(self.velocity[row].tolist()),
                self.names[self.label[row]],
                float(self.score[row]),
                self.attributes[attribute] if attribute >= 0 else "",
            )

    def numbered(self, tokens: tuple[str, ...]) -> "BoxColumns":
        """The same boxes, with samples numbered in the order of ``tokens``."""
        place = {token: number for number, token in enumerate(tokens)}
        numbers = np.array([place[token] for token in self.tokens], np.int64)
        return replace(self, tokens=tokens, sample=numbers[self.sample])

    def take(self, rows: np.ndarray) -> "BoxColumns":
        """Select boxes by a mask or by indices; the samples remain."""
        columns = [f.name for f in fields(self) if f.name not in ("tokens", "names", "attributes")]
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})


def index_of(names: Sequence[str], name: str) -> int:
    """Index of a name, -1 for the empty name."""
    return names.index(name) if name else -1

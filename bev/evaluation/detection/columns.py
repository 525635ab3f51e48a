"""Boxes of many samples as arrays, one row a box: the form in which detections are scored."""

from dataclasses import dataclass, fields, replace

import numpy as np

# Columns that have several numbers a box, and how many.
WIDTHS = {"translation": 3, "size": 3, "rotation": 4, "velocity": 2}


@dataclass(frozen=True)
class BoxColumns:
    """n boxes of S samples, in any frame that the boxes of a sample share.

    Attributes:
        tokens: tokens of the samples, also of samples without boxes.
        names: class names.
        attributes: attribute names.
        sample: (n,) index into ``tokens``.
        label: (n,) index into ``names``.
        attribute: (n,) index into ``attributes``, -1 for none.
        translation: (n, 3) float64, centres.
        size: (n, 3) float64, (width, length, height).
        rotation: (n, 4) float64, quaternions (w, x, y, z).
        velocity: (n, 2) float64, NaN where unknown.
        score: (n,) float64.
        points: (n,) lidar and radar points in the box, -1 where unknown.
        visibility: (n,) nuScenes level 1 (0-40 %) to 4 (80-100 %), 0 where unknown.
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
    visibility: np.ndarray

    def __len__(self) -> int:
        return len(self.sample)

    def numbered(self, tokens: tuple[str, ...]) -> "BoxColumns":
        """The same boxes, with samples numbered in the order of ``tokens``."""
        place = {token: number for number, token in enumerate(tokens)}
        numbers = np.array([place[token] for token in self.tokens], np.int64)
        return replace(self, tokens=tokens, sample=numbers[self.sample])

    def take(self, rows: np.ndarray) -> "BoxColumns":
        """Select boxes by a mask or by indices; the samples remain."""
        columns = [f.name for f in fields(self) if f.name not in ("tokens", "names", "attributes")]
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

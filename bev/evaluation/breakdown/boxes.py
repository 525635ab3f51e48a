"""Boxes of an evaluation with their matches, in the ego frame of their sample."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from bev.data.labels import ObjectClass
from bev.evaluation.detection.arithmetic import rotation_matrix
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matches import ClassMatches, Matches
from bev.evaluation.detection.metrics import DISTANCES, ERROR_DISTANCE


@dataclass(frozen=True)
class MatchedBoxes:
    """The boxes that count in an evaluation, and their matches.

    Attributes:
        matches: matches of all classes; its rows are indices into the two following.
        predicted: P predicted boxes of S samples, in the reference ego frame of their sample (x
            forward, y left, metres); samples in the order of ``matches.tokens``.
        gt_boxes: G ground-truth boxes, likewise.
        scenes: names of the scenes of the S samples.
        descriptions: texts of the data set about its scenes, by name; may lack any.
    """

    matches: Matches
    predicted: BoxColumns
    gt_boxes: BoxColumns
    scenes: tuple[str, ...]
    descriptions: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[ObjectClass, ...]:
        """The classes, in the order of the means over classes."""
        return self.matches.kinds

    def of_class(self, name: str) -> ClassMatches:
        """Matches of a class."""
        return self.matches.classes[name]

    def label_of(self, name: str) -> int:
        """Label of a class in both sets of boxes."""
        return self.gt_boxes.names.index(name)

    @cached_property
    def gt_of_predicted(self) -> np.ndarray:
        """(P,) ground-truth row that a predicted box matches within 2 m, -1 for none."""
        return self.gt_rows(ERROR_DISTANCE)

    def gt_rows(self, distance: float) -> np.ndarray:
        """(P,) ground-truth row that each predicted box matches at one of ``DISTANCES``, or -1."""
        found = np.full(len(self.predicted), -1)
        for one in self.matches.classes.values():
            found[one.row] = one.gt_row[DISTANCES.index(distance)]
        return found


def in_ego(boxes: BoxColumns, translation: np.ndarray, rotation: np.ndarray) -> BoxColumns:
    """Transform boxes from the global frame to the ego frame of their sample.

    Args:
        boxes: n boxes of S samples.
        translation: (S, 3) positions of the ego vehicle.
        rotation: (S, 4) its rotations, quaternions (w, x, y, z).
    """
    ego_from_global = rotation_matrix(rotation).transpose(0, 2, 1)[boxes.sample]
    inverse = (rotation * np.array([1.0, -1.0, -1.0, -1.0]))[boxes.sample]
    moved = boxes.translation - translation[boxes.sample]
    velocity = np.concatenate([boxes.velocity, np.zeros((len(boxes), 1))], axis=1)
    return replace(
        boxes,
        translation=(ego_from_global @ moved[:, :, None])[:, :, 0],
        rotation=_product(inverse, boxes.rotation),
        velocity=(ego_from_global @ velocity[:, :, None])[:, :2, 0],
    )


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n, 4) products of quaternions (w, x, y, z)."""
    w, x, y, z = first.T
    a, b, c, d = second.T
    return np.stack(
        [
            w * a - x * b - y * c - z * d,
            w * b + x * a + y * d - z * c,
            w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ],
        axis=1,
    )

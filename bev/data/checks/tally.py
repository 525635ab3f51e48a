"""Counts of a split's ground-truth boxes: those used, and those left out by rule."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from bev.errors import count_of


class LeftOut(NamedTuple):
    """Boxes that a rule leaves out.

    Attributes:
        boxes: number of boxes.
        reason: the rule, as the complement of "boxes are …".
        remedy: how to use such boxes.
    """

    boxes: int
    reason: str
    remedy: str


@dataclass(frozen=True)
class Tally:
    """Ground truth of a split.

    Attributes:
        scenes: number of scenes.
        frames: number of key frames.
        used: number of boxes that are trained on, by class; classes without a box are absent.
        left_out: boxes that are not, by rule; rules that apply to no box are absent.
    """

    scenes: int
    frames: int
    used: Mapping[str, int]
    left_out: Sequence[LeftOut]

    @classmethod
    def make(
        cls, scenes: int, frames: int, labels: Iterable[str], left_out: Sequence[LeftOut]
    ) -> "Tally":
        """Create from the class of each used box, and all rules."""
        used = dict(sorted(Counter(labels).items(), key=lambda item: -item[1]))
        return cls(scenes, frames, used, [rule for rule in left_out if rule.boxes])

    @property
    def num_used(self) -> int:
        return sum(self.used.values())

    @property
    def num_boxes(self) -> int:
        return self.num_used + sum(rule.boxes for rule in self.left_out)

    def text(self) -> str:
        """Counts as one line."""
        used = f"{self.num_used} used{f' ({listed(self.used)})' if self.used else ''}"
        left_out = "".join(f"; {rule.boxes} {rule.reason}" for rule in self.left_out)
        return (
            f"{count_of(self.scenes, 'scene')}, {count_of(self.frames, 'sample')},"
            f" {count_of(self.num_boxes, 'box')}: {used}{left_out}"
        )

    def why_none(self) -> str:
        """Reasons and remedies if no box is used, as the second half of a sentence."""
        if not self.left_out:
            return "it has no ground-truth boxes at all; add annotations, or choose another split"
        reasons = ", ".join(f"{rule.boxes} are {rule.reason}" for rule in self.left_out)
        remedies = ", or ".join(rule.remedy for rule in self.left_out)
        return f"of {count_of(self.num_boxes, 'box')} {reasons}; {remedies}"


def too_few_points(points: Int[np.ndarray, " m"], min_points: int) -> LeftOut:
    """Boxes with fewer lidar and radar points than ``DataConfig.min_points``.

    Args:
        points: number of points in each of the boxes.
        min_points: the minimum.
    """
    remedy = "set the numbers of points to 1 where they are unknown"
    if (points >= 0).any():
        remedy += ", or --data.min-points 0 to train on boxes without points"
    reason = f"with fewer than {min_points} lidar and radar points (data.min_points)"
    return LeftOut(len(points), reason, remedy)


def listed(counts: Mapping[str, int], most: int = 12) -> str:
    """Names with counts, the first ``most`` of them."""
    names = [f"{name} {count}" for name, count in counts.items()]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])

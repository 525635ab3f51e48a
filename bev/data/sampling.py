"""Sampling of key frames in training: uniform, by the classes in a frame, or scene by scene.

Every sampling method computes one number per key frame: the expected number of visits in an epoch.
An :class:`~bev.data.epoch.EpochPlan` converts these numbers to integer numbers of visits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from bev.bounds import NonNegative, check_clashes
from bev.data.epoch import EpochPlan
from bev.data.source import Frames
from bev.errors import DataError


@dataclass(frozen=True)
class SamplingConfig:
    """Settings of the sampling of training key frames.

    Attributes:
        by: sampling method. "frame" visits every key frame once, in random order. "class" balances
            the classes (see :func:`class_balanced`). "weight" makes as many visits as there are
            frames, in proportion to 1 plus the ``class_weights`` of the classes in a frame.
            "scene" visits every frame once: scenes in random order, the frames of a scene in
            order of time; every position in the batch follows its own scenes.
        class_weights: (class, weight) pairs for "weight", e.g. ``bicycle 4.0 bus 2.0``; classes of
            the source's label space.
    """

    by: Literal["frame", "class", "weight", "scene"] = "frame"
    class_weights: tuple[tuple[str, NonNegative], ...] = ()

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about weights that are missing or without effect."""
        if bool(self.class_weights) != (self.by == "weight"):
            yield (
                f"data.sampling.by is {self.by!r} and data.sampling.class_weights is"
                f" {self.class_weights}; weights go with 'weight' only, which requires them."
            )

    def build(self, frames: Frames, min_points: int) -> EpochPlan:
        """Plan the epochs over some frames.

        Args:
            frames: training key frames.
            min_points: boxes with fewer lidar and radar points are ignored.

        Raises:
            DataError: if ``by`` is "class" and no frame contains a box with enough points.
        """
        if self.by == "class":
            held = frames.classes_held(min_points)
            if not held.any():
                raise DataError(
                    f"No training frame has a box with at least {min_points} points"
                    " (data.min_points), so classes cannot be balanced; set data.sampling.by to"
                    " 'frame'."
                )
            return EpochPlan.of(class_balanced(held))
        if self.by == "weight":
            weights = np.array([dict(self.class_weights).get(n, 0.0) for n in frames.labels.names])
            weight = 1 + frames.classes_held(min_points) @ weights
            return EpochPlan.of(weight * (len(frames) / weight.sum()))
        scene = frames.scene if self.by == "scene" else None
        return EpochPlan.of(np.ones(len(frames)), scene)


def class_balanced(held: Bool[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
    """Expected visits of each frame under class-balanced grouping and sampling (CBGS).

    CBGS (Zhu et al. 2019, section 3.1): let n_c be the number of frames that contain class c and D
    the sum of n_c over the C classes; D / C frames are drawn for each class, so that every class is
    drawn equally often. nuScenes' 28,130 training frames become about 123,600. Published code draws
    at random with replacement, once before training. Here each frame of a class receives an equal
    share of the class's floor(D / C) draws, and the shares of a frame over its classes add up to
    its expected visits; the plan rounds these to integers anew in each epoch. Frames without any
    class are not visited.

    Args:
        held: whether each frame contains each class; a class without frames is ignored.
    """
    frames_of = held.sum(axis=0)
    present = frames_of > 0
    draws = int(frames_of.sum()) // max(int(present.sum()), 1)
    share = np.where(present, draws / np.maximum(frames_of, 1), 0.0)
    return held @ share

"""How often an epoch visits each key frame: all alike, by the classes it holds, or scene by scene.

The idea: every way of sampling is one number for each key frame, how often an epoch visits it on
average. An :class:`~bev.data.epoch.EpochPlan` turns these numbers into whole visits.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from bev.data.epoch import EpochPlan
from bev.data.source import Frames
from bev.errors import ConfigError, DataError


@dataclass(frozen=True)
class SamplingConfig:
    """How an epoch visits the training key frames.

    Attributes:
        by: "frame" visits every key frame once, in random order. "class" visits frames so that all
            classes are seen equally often (see :func:`class_balanced`). "weight" visits as many
            frames as there are, each in proportion to 1 plus the ``class_weights`` of the classes
            that it holds. "scene" visits every frame once, whole scenes in random order and each
            in the order of time; every place in the batch follows scenes of its own.
        class_weights: (class, weight) pairs for "weight", e.g. ``bicycle 4.0 bus 2.0``, of the
            source's classes.
    """

    by: Literal["frame", "class", "weight", "scene"] = "frame"
    class_weights: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if bool(self.class_weights) != (self.by == "weight"):
            raise ConfigError(
                f"data.sampling.by is {self.by!r} and data.sampling.class_weights is"
                f" {self.class_weights}; weights go with 'weight', and only with it."
            )
        for name, weight in self.class_weights:
            if not 0 <= weight < float("inf"):
                raise ConfigError(
                    f"data.sampling.class_weights gives {name} {weight}; give 0 or more."
                )

    def build(self, frames: Frames, min_points: int) -> EpochPlan:
        """The plan of an epoch over some frames.

        Args:
            frames: in the order that they are served in.
            min_points: boxes with fewer lidar and radar points do not count.

        Raises:
            DataError: where classes are to be balanced and no frame holds a box that counts.
        """
        if self.by == "class":
            held = frames.classes_held(min_points)
            if not held.any():
                raise DataError(
                    "No training frame holds a box that counts, so classes cannot be balanced; set"
                    " data.sampling.by to 'frame'."
                )
            return EpochPlan.of(class_balanced(held))
        if self.by == "weight":
            weights = np.array([dict(self.class_weights).get(n, 0.0) for n in frames.labels.names])
            weight = 1 + frames.classes_held(min_points) @ weights
            return EpochPlan.of(weight * (len(frames) / weight.sum()))
        scene = frames.scene if self.by == "scene" else None
        return EpochPlan.of(np.ones(len(frames)), scene)


def class_balanced(held: Bool[np.ndarray, "n c"]) -> Float[np.ndarray, " n"]:
    """Visits of each frame in an epoch of class-balanced grouping and sampling.

    CBGS (Zhu et al. 2019, section 3.1): with n_c frames that hold class c and D the sum of n_c
    over the C classes, draw for each class D / C of its frames, so that every class is drawn
    equally often; nuScenes' 28,130 training frames become about 123,600. Published code draws at
    random with replacement, once before training. Here each of a class's frames has its even share
    of the class's floor(D / C) draws, and a frame's shares over its classes add up to its expected
    visits; the plan makes these whole anew for each epoch. Frames that hold none are not visited.

    Args:
        held: which classes each frame holds; a class that no frame holds is left out.
    """
    frames_of = held.sum(axis=0)
    present = frames_of > 0
    draws = int(frames_of.sum()) // max(int(present.sum()), 1)
    share = np.where(present, draws / np.maximum(frames_of, 1), 0.0)
    return held @ share

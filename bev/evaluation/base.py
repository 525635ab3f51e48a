"""Interface of evaluators, which compute the metrics of one head.

An :class:`Evaluator` accumulates decoded results batch by batch, merges the results of several
processes, and computes its metrics once at the end. Evaluators are registered for the settings
class of a head:

    @evaluator.register(OccupancyConfig)
    class OccupancyIou(SampleSums): ...
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.data.source import Frames, FrameSource
from bev.errors import ConfigError
from bev.evaluation.breakdown.boxes import MatchedBoxes
from bev.evaluation.scores import Scores
from bev.models import DetectorConfig, HeadConfig


@dataclass(frozen=True)
class EvaluatedSplit:
    """Split to evaluate, and the output folder of the evaluation.

    Attributes:
        source: opened data source, which provides the ground truth.
        name: name of the split.
        folder: folder to which result files are written.
        within: maximum distance from the ego vehicle, metres; boxes farther away do not count.
        every: distance between the samples that are evaluated; 1 for all of them.
    """

    source: FrameSource
    name: str
    folder: Path
    within: float = math.inf
    every: int = 1

    def frames(self) -> Frames:
        """Key frames that are evaluated."""
        frames = self.source.frames(self.name)
        return frames if self.every == 1 else frames[:: self.every]

    @property
    def samples(self) -> str | Sequence[str]:
        """Name of the split, or the tokens of the samples if not all of them are evaluated."""
        return self.name if self.every == 1 else self.frames().tokens


class Resampled(NamedTuple):
    """Evaluation that can be scored again with other weights of its samples (bootstrap).

    Attributes:
        tokens: tokens of the S samples.
        names: names of the M figures.
        score: function from (S,) counts, how often each sample is drawn, to the M figures.
    """

    tokens: tuple[str, ...]
    names: tuple[str, ...]
    score: Callable[[np.ndarray], Sequence[float]]


class Evaluator:
    """Base class of the evaluators.

    Args, and attributes:
        config: settings of the head.
        name: name of the head.
        model: settings of the whole model.
        data: settings of the data to evaluate on.

    Attributes:
        headlines: names of the figures that represent the head in charts of studies. The first one
            selects the best checkpoint; greater values are better.
        of_boxes: whether the evaluator scores boxes and applies ``EvaluatedSplit.within``.
    """

    headlines: tuple[str, ...] = ()
    of_boxes: bool = False

    def __init__(
        self, config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        self.config, self.name, self.model, self.data = config, name, model, data

    def check(self, frames: Frames, split: str) -> None:
        """Check the ground truth of a split before anything is predicted.

        Raises:
            NoGroundTruthError: if the split cannot be scored.
            DataError: if the metrics refuse its ground truth.
        """

    def update(self, decoded: Any, batch: Batch) -> None:
        """Add the decoded results of the head for a batch."""
        raise NotImplementedError

    def state(self) -> Any:
        """Return the accumulated results, to be sent to another process."""
        raise NotImplementedError

    def merge(self, states: Sequence[Any]) -> None:
        """Replace the accumulated results by the states of all processes."""
        raise NotImplementedError

    def clear(self, folder: Path) -> None:
        """Remove the scores of an earlier evaluation from a folder."""

    def write(self, split: EvaluatedSplit) -> None:
        """Write the results, once all samples have been added, before any head is scored."""

    def compute(self, split: EvaluatedSplit) -> Scores:
        """Compute the scores after :meth:`write`, and write files of scores.

        Raises:
            NoGroundTruthError: if the split has no ground truth.
        """
        raise NotImplementedError

    def read(self, folder: Path) -> Scores:
        """Read the scores that an evaluation wrote to its folder; empty if there are none."""
        return Scores()

    def resampled(self, split: EvaluatedSplit) -> Resampled | None:
        """Load the evaluation in the split's folder; None if it cannot be resampled."""
        return None

    def matched(self, split: EvaluatedSplit) -> MatchedBoxes | None:
        """Load the boxes of the evaluation in the split's folder; None if it is not of boxes."""
        return None


@singledispatch
def evaluator(
    config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
) -> Evaluator | None:
    """Create the evaluator of a head; None for an auxiliary head, which needs none.

    Args:
        config: settings of the head; their class selects the evaluator.
        name: name of the head.
        model: settings of the whole model.
        data: settings of the data to evaluate on.

    Raises:
        ConfigError: if no evaluator is registered for the head.
    """
    if config.auxiliary:
        return None
    raise ConfigError(
        f"Head model.{name} ({type(config).__name__}) has no evaluator; register one with"
        " bev.evaluation.base.evaluator in the file that defines it."
    )

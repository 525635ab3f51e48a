"""The evaluation of one head: what its decoded results are compared with, and the figures of it.

An :class:`Evaluator` takes decoded results batch by batch, those of several processes are merged,
and it is scored once, at the end. Which one a head has is registered for the class of its settings:

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
from bev.data.source import FrameSource
from bev.errors import ConfigError
from bev.evaluation.scores import Scores
from bev.models import DetectorConfig, HeadConfig


@dataclass(frozen=True)
class EvaluatedSplit:
    """Where an evaluation takes its ground truth from, and where it leaves its files.

    Attributes:
        source: the opened data source.
        name: of the split.
        folder: takes the files.
        within: metres; boxes farther from the ego car do not count.
    """

    source: FrameSource
    name: str
    folder: Path
    within: float = math.inf


class Resampled(NamedTuple):
    """An evaluation that can be scored anew with its samples drawn otherwise (bootstrap).

    Attributes:
        tokens: of the S samples.
        names: of the M figures.
        score: from (S,) counts, how often each sample is drawn, to the M figures.
    """

    tokens: tuple[str, ...]
    names: tuple[str, ...]
    score: Callable[[np.ndarray], Sequence[float]]


class Evaluator:
    """Base of the evaluators.

    Args, and attributes:
        config: settings of the head.
        name: of the head.
        model: settings of the whole model.
        data: that are evaluated.

    Attributes:
        headlines: the figures that stand for the head, in charts of studies; the first decides
            which checkpoint is the best, the greatest value being the best.
        of_boxes: whether it scores boxes, and heeds ``EvaluatedSplit.within``.
    """

    headlines: tuple[str, ...] = ()
    of_boxes: bool = False

    def __init__(
        self, config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        self.config, self.name, self.model, self.data = config, name, model, data

    def update(self, decoded: Any, batch: Batch) -> None:
        """Add what the head decoded for a batch."""
        raise NotImplementedError

    def state(self) -> Any:
        """What was accumulated, to be sent to another process."""
        raise NotImplementedError

    def merge(self, states: Sequence[Any]) -> None:
        """Take the states of all processes in place of the own one."""
        raise NotImplementedError

    def compute(self, split: EvaluatedSplit) -> Scores:
        """Score the whole split, of which every sample has been added, and leave files."""
        raise NotImplementedError

    def read(self, folder: Path) -> Scores:
        """The scores that an evaluation left in its folder; empty where it left none."""
        return Scores()

    def resampled(self, split: EvaluatedSplit) -> Resampled | None:
        """The evaluation that was left in the split's folder; None where it cannot be resampled."""
        return None


@singledispatch
def evaluator(
    config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
) -> Evaluator | None:
    """The evaluator of a head; None for an auxiliary one, which needs none.

    Args:
        config: the head's settings, by whose class the function is chosen.
        name: of the head.
        model: the whole model's settings.
        data: that are evaluated.

    Raises:
        ConfigError: where none is registered.
    """
    if config.auxiliary:
        return None
    raise ConfigError(
        f"Head model.{name} ({type(config).__name__}) has no evaluator; register one with"
        " bev.evaluation.base.evaluator in the file that defines it."
    )

"""The evaluation of one head: what its decoded results are compared with, and the figures of it.

An :class:`Evaluator` takes decoded results batch by batch, those of several processes are merged,
and it is scored once, at the end. Which one a head has is registered for the class of its settings:

    @evaluator.register(OccupancyConfig)
    class OccupancyIou(SampleSums): ...
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.data.source import FrameSource
from bev.errors import ConfigError
from bev.evaluation.scores import Scores
from bev.files import replacing
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
    """

    headlines: tuple[str, ...] = ()

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


class SampleSums(Evaluator):
    """Base of evaluators whose figures follow from sums over samples: IoU, accuracy, mean errors.

    A subclass gives :meth:`measure` and :meth:`figures`; the rest (several processes, files, the
    bootstrap) is done here.

    Attributes:
        samples: by sample token, the numbers that are summed; any shape.
        note: definition of the figures, see ``Scores``.
    """

    note: str = ""

    def __init__(
        self, config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        super().__init__(config, name, model, data)
        self.samples: dict[str, np.ndarray] = {}

    def measure(self, decoded: Any, batch: Batch) -> Float[Tensor, "B ..."]:
        """The numbers of each sample of a batch."""
        raise NotImplementedError

    def figures(self, sums: np.ndarray) -> dict[str, float]:
        """Figures by name, of summed numbers; the names are the same for all sums."""
        raise NotImplementedError

    def update(self, decoded: Any, batch: Batch) -> None:
        numbers = self.measure(decoded, batch).cpu().numpy()
        if len(numbers) != len(batch):
            raise ConfigError(
                f"{type(self).__name__}.measure gives numbers of {len(numbers)} samples for a batch"
                f" of {len(batch)}."
            )
        self.samples |= dict(zip(batch.tokens, numbers, strict=True))

    def state(self) -> dict[str, np.ndarray]:
        return self.samples

    def merge(self, states: Sequence[dict[str, np.ndarray]]) -> None:
        self.samples = {token: own for state in states for token, own in state.items()}

    def compute(self, split: EvaluatedSplit) -> Scores:
        """Score the samples, and write ``<name>.json``."""
        scores = self._scores(self.samples)
        split.folder.mkdir(parents=True, exist_ok=True)
        content = {
            "figures": dict(scores.figures),
            "note": scores.note,
            "samples": {token: numbers.tolist() for token, numbers in self.samples.items()},
        }
        with replacing(self._file(split.folder)) as partial:
            partial.write_text(json.dumps(content))
        return scores

    def read(self, folder: Path) -> Scores:
        return self._scores(self._read(folder))

    def resampled(self, split: EvaluatedSplit) -> Resampled | None:
        samples = self._read(split.folder)
        if not samples:
            return None
        tokens = tuple(sorted(samples))
        counts = np.stack([samples[token] for token in tokens])

        def score(weights: np.ndarray) -> list[float]:
            return list(self.figures(np.tensordot(weights, counts, axes=1)).values())

        return Resampled(tokens, tuple(self.figures(counts.sum(0))), score)

    def _file(self, folder: Path) -> Path:
        return folder / f"{self.name}.json"

    def _read(self, folder: Path) -> dict[str, np.ndarray]:
        path = self._file(folder)
        if not path.is_file():
            return {}
        content = json.loads(path.read_bytes())["samples"]
        return {token: np.array(numbers) for token, numbers in content.items()}

    def _scores(self, samples: Mapping[str, np.ndarray]) -> Scores:
        figures = self.figures(sum(samples.values())) if samples else {}
        return Scores(figures, note=self.note if figures else "")


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

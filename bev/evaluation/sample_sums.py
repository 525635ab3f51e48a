"""Evaluators whose metrics are functions of sums over samples: IoU, accuracy, mean errors.

Numbers per sample that are added up suffice for several processes, for a file and for the
bootstrap. An evaluator therefore only defines the numbers of a batch and the figures of the sums.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.errors import ConfigError, SubmissionError
from bev.evaluation.base import EvaluatedSplit, Evaluator, Resampled
from bev.evaluation.scores import EVALUATE_AGAIN, Scores
from bev.files import replacing
from bev.models import DetectorConfig, HeadConfig
from bev.plain_json import read_json


def total(samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sum of the numbers of all samples."""
    summed: Any = sum(samples.values())
    return summed


def _counts(content: dict) -> dict[str, np.ndarray]:
    """Arrays of numbers, by sample token, in the content of a file."""
    counts = {token: np.array(row) for token, row in content["samples"].items()}
    if any(one.dtype.kind not in "iuf" for one in counts.values()):
        raise TypeError("a sample has something else than numbers")
    return counts


class SampleSums(Evaluator):
    """Base class of evaluators whose figures are functions of sums over samples.

    A subclass implements :meth:`measure` and :meth:`figures`; this class handles several processes,
    files and the bootstrap.

    Attributes:
        samples: numbers to add up, by sample token; any shape.
        note: definition of the figures, see ``Scores``.
    """

    note: str = ""

    def __init__(
        self, config: HeadConfig, name: str, model: DetectorConfig, data: DataConfig
    ) -> None:
        super().__init__(config, name, model, data)
        self.samples: dict[str, np.ndarray] = {}

    def measure(self, decoded: Any, batch: Batch) -> Float[Tensor, "B ..."]:
        """Compute the numbers of each sample of a batch."""
        raise NotImplementedError

    def figures(self, sums: np.ndarray) -> dict[str, float]:
        """Compute figures, by name, of summed numbers; the names must be the same for all sums."""
        raise NotImplementedError

    def update(self, decoded: Any, batch: Batch) -> None:
        measured = self.measure(decoded, batch).cpu()  # some devices do not support float64
        if measured.is_floating_point():
            measured = measured.double()  # NumPy has no bfloat16; float64 keeps sums exact
        numbers = measured.numpy()
        if len(numbers) != len(batch):
            raise ConfigError(
                f"{type(self).__name__}.measure returns numbers of {len(numbers)} samples for a"
                f" batch of {len(batch)}."
            )
        self.samples |= dict(zip(batch.tokens, numbers, strict=True))

    def state(self) -> dict[str, np.ndarray]:
        return self.samples

    def merge(self, states: Sequence[dict[str, np.ndarray]]) -> None:
        self.samples = {token: numbers for state in states for token, numbers in state.items()}

    def clear(self, folder: Path) -> None:
        self._file(folder).unlink(missing_ok=True)

    def compute(self, split: EvaluatedSplit) -> Scores:
        """Compute the scores, and write ``<name>.json``."""
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

        return read_json(path, _counts, SubmissionError, EVALUATE_AGAIN)

    def _scores(self, samples: Mapping[str, np.ndarray]) -> Scores:
        figures = self.figures(total(samples)) if samples else {}
        return Scores(figures, note=self.note if figures else "")

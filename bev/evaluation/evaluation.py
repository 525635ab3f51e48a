"""Evaluation of a split, for the validation of a training run and for ``bevlab evaluate``.

An :class:`Evaluation` accumulates predictions batch by batch, independently of the loop (Lightning
or ``bev.evaluation.predict``), gathers the results of several processes, and computes the scores
once at the end. The metrics are defined by each head's evaluator, see ``bev.evaluation.base``.
"""

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch.distributed

import bev.evaluation.boxes
import bev.evaluation.depth
import bev.evaluation.nuscenes.boxes
import bev.evaluation.segmentation  # noqa: F401  (imports register evaluators)
from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.errors import BevError, ConfigError
from bev.evaluation.base import EvaluatedSplit, Evaluator, evaluator
from bev.evaluation.sample_sums import SampleSums, total
from bev.evaluation.scores import Scores
from bev.evaluation.table import scores_table
from bev.models import Detector, DetectorConfig
from bev.models.detector import Prediction, check_terms


@dataclass(frozen=True)
class Result:
    """Scores of an evaluated split.

    Attributes:
        heads: scores of each head, by name.
    """

    heads: Mapping[str, Scores]

    def scalars(self) -> dict[str, float]:
        """All figures by name, for a logger."""
        return {n: value for one in self.heads.values() for n, value in one.figures.items()}

    @property
    def classes(self) -> Mapping[str, Mapping[str, float]]:
        """Value of each column, by class; empty if no head has classes."""
        return next((one.classes for one in self.heads.values() if one.classes), {})

    @property
    def note(self) -> str:
        """Definition of figures, if it is needed to compare them; otherwise empty."""
        return " ".join(one.note for one in self.heads.values() if one.note)

    def text(self) -> str:
        """Text table for a terminal, without a trailing line break."""
        return scores_table(self.heads)


def evaluators(model: DetectorConfig, data: DataConfig) -> dict[str, Evaluator]:
    """Create the evaluators of the heads that have one, by the head's name.

    Raises:
        ConfigError: if a head needs an evaluator and none is registered, if two heads share a
            headline, or if the labels of the model differ from those of the data.
    """
    for what, predicted, annotated in model.label_space.renamed(data.source.labels):
        raise ConfigError(
            f"The {what} of the model are {', '.join(predicted) or 'none'} and those of data.source"
            f" ({type(data.source).__name__}) are {', '.join(annotated) or 'none'}; use a source"
            " with the same labels, or train a model with labels = None, which takes the labels of"
            " the source."
        )
    created = {name: evaluator(head, name, model, data) for name, head in model.heads.items()}
    found = {name: one for name, one in created.items() if one is not None}
    owners: dict[str, str] = {}
    for name, one in found.items():
        _claim(owners, "figure", one.headlines, name)
    return found


def headline(model: DetectorConfig, data: DataConfig) -> str:
    """Name of the figure that selects the best checkpoint: the first headline of the heads.

    Raises:
        ConfigError: if no head's evaluator has a headline.
    """
    found = evaluators(model, data)
    names = [name for one in found.values() for name in one.headlines]
    if not names:
        raise ConfigError(
            f"The evaluators of {', '.join(found) or 'no head'} name no headline figure, which is"
            " needed to compare checkpoints; set `headlines` of one evaluator."
        )
    return names[0]


class Evaluation:
    """Accumulates the predictions of a detector on a split, and computes the scores.

    Args:
        model: settings of the detector.
        data: settings of the data to evaluate on.

    Raises:
        ConfigError: see :func:`evaluators`.
    """

    def __init__(self, model: DetectorConfig, data: DataConfig) -> None:
        self.evaluators = evaluators(model, data)

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Add the predictions of a batch."""
        for name, one in self.evaluators.items():
            one.update(prediction.results[name], batch)

    def gather(self) -> None:
        """Gather the results of all processes on rank 0; no effect with a single process."""
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        first = distributed.get_rank() == 0
        parts: list | None = [None] * distributed.get_world_size() if first else None
        distributed.gather_object({n: one.state() for n, one in self.evaluators.items()}, parts)
        if parts is not None:
            for name, one in self.evaluators.items():
                one.merge([part[name] for part in parts])

    def compute(self, split: EvaluatedSplit) -> Result:
        """Compute the scores once every sample of the split has been added, and write files.

        Raises:
            ConfigError: if two heads have a figure of the same name.
            DataError: if the data have no ground truth.
        """
        result = Result({name: one.compute(split) for name, one in self.evaluators.items()})
        owners: dict[str, str] = {}
        for name, one in result.heads.items():
            _claim(owners, "figure", one.figures, name)
        return result


@torch.no_grad()
def try_out(model: Detector, batch: Batch, data: DataConfig) -> None:
    """Compute the loss, the results and the figures of each head on one batch, before a run begins.

    Errors of a head thus end the run at its start.

    Raises:
        ConfigError: names the head, the failing step and the error.
        BevError: errors raised by the heads themselves.
    """
    created, training = evaluators(model.config, data), model.training
    features = model.eval().features(batch)
    terms: dict[str, str] = {}  # loss terms and figures -> name of their head
    for name, headed in created.items():
        _claim(terms, "figure", headed.headlines, name)
    for name in model.config.heads:
        head, one = getattr(model, name), created.get(name)
        step = "forward"
        try:
            output = head(features)
            step = "loss"
            _claim(terms, "loss term", check_terms(head.loss(output, batch), name), name)
            step = "averaged"
            if model.config.flip_tta:
                output = head.averaged(output, output)
            step = "decode"
            decoded = head.decode(output)
            step = f"evaluator {type(one).__name__}"
            if one is not None:
                one.update(decoded, batch)
            if isinstance(one, SampleSums):
                figures = one.figures(total(one.samples))
                _claim(terms, "figure", figures, name)
                if missing := [n for n in one.headlines if figures and n not in figures]:
                    raise ConfigError(
                        f"Head model.{name}: {type(one).__name__} has the headline {missing[0]!r},"
                        f" but its figures are {', '.join(figures)}."
                    )
        except BevError:
            raise
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise ConfigError(
                f"Head model.{name} ({type(head).__name__}) fails in its {step} for sample"
                f" {batch.tokens[0]}: {text} ({last.filename}, line {last.lineno})"
            ) from error
    model.train(training)


def _claim(owners: dict[str, str], what: str, names: Iterable[str], head: str) -> None:
    """Register names as those of a head.

    Raises:
        ConfigError: if a name belongs to another head.
    """
    for name in names:
        key = f"{what} {name!r}"
        if owners.setdefault(key, head) != head:
            raise ConfigError(
                f"Head model.{head}: the {key} is that of head model.{owners[key]}; give it another"
                " name."
            )

"""Evaluation of a split, for the validation of a training run and for ``bevlab evaluate``.

An :class:`Evaluation` accumulates predictions batch by batch, independently of the loop (Lightning
or ``bev.evaluation.predict``), gathers the results of several processes, and computes the scores
once at the end. The metrics are defined by each head's evaluator, see ``bev.evaluation.base``.
"""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch.distributed

import bev.evaluation.boxes
import bev.evaluation.depth
import bev.evaluation.nuscenes.boxes
import bev.evaluation.segmentation  # noqa: F401  (imports register evaluators)
from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.errors import BevError, ConfigError, NoGroundTruthError
from bev.evaluation.base import EvaluatedSplit, Evaluator, evaluator
from bev.evaluation.sample_sums import SampleSums, total
from bev.evaluation.table import Result
from bev.files import remove_stale
from bev.models import Detector, DetectorConfig
from bev.models.detector import Prediction
from bev.models.heads.base import check_terms


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


class _Failed(NamedTuple):
    """State of an evaluator that has failed, in place of its results."""

    reason: str


class Evaluation:
    """Accumulates the predictions of a detector on a split, and computes the scores.

    A head whose evaluation fails is left out of what follows; those of the others go on.

    Args:
        model: settings of the detector.
        data: settings of the data to evaluate on.

    Attributes:
        result: result of :meth:`compute`, of the heads that have one if it raises an error.
        errors: error of each head whose evaluation has failed, by name.

    Raises:
        ConfigError: see :func:`evaluators`.
    """

    def __init__(self, model: DetectorConfig, data: DataConfig) -> None:
        self.evaluators = evaluators(model, data)
        self.result = Result({})
        self.errors: dict[str, Exception] = {}

    @property
    def going(self) -> dict[str, Evaluator]:
        """Evaluators that have not failed, by the head's name."""
        return {n: one for n, one in self.evaluators.items() if n not in self.errors}

    def update(self, prediction: Prediction, batch: Batch) -> None:
        """Add the predictions of a batch; raises the errors of evaluators that fail first here."""
        before = len(self.errors)
        for name, one in self.going.items():
            with self._noting(name):
                one.update(prediction.results[name], batch)
        self._raise_new(before)

    def fail(self, error: Exception) -> None:
        """Note that no head can be evaluated, because a batch could not be predicted."""
        self.errors |= dict.fromkeys(self.going, error)

    def gather(self) -> None:
        """Gather the results of all processes on rank 0; no effect with a single process.

        A head that has failed in one process has failed in all of them.
        """
        distributed = torch.distributed
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        first = distributed.get_rank() == 0
        parts: list | None = [None] * distributed.get_world_size() if first else None
        states: dict = {}
        for name, one in self.going.items():
            with self._noting(name):
                states[name] = one.state()
        states |= {name: _Failed(described(error)) for name, error in self.errors.items()}
        distributed.gather_object(states, parts)
        for name, one in self.evaluators.items() if parts is not None else ():
            of_head = [state[name] for state in parts or ()]
            failed = next((state for state in of_head if isinstance(state, _Failed)), None)
            if failed is None:
                with self._noting(name):
                    one.merge(of_head)
            else:
                self.errors.setdefault(name, BevError(failed.reason))

    def compute(self, split: EvaluatedSplit) -> Result:
        """Write the results, then score them, once every sample of the split has been added.

        Heads without ground truth have no scores. If the evaluation of a head fails, the other
        heads are still written and scored before the error is raised.

        Raises:
            ConfigError: if two heads have a figure of the same name.
            Exception: the error of the first head that has failed.
        """
        heads, unscored = {}, {}
        remove_stale(split.folder)
        for one in self.evaluators.values():
            one.clear(split.folder)  # also those of a head that has failed
        for name, one in self.going.items():
            with self._noting(name):
                one.write(split)
        for name, one in self.going.items():
            with self._noting(name):
                try:
                    heads[name] = one.compute(split)
                except NoGroundTruthError as error:
                    unscored[name] = str(error)
        for name, failure in self.errors.items():
            unscored[name] = f"The evaluation of head model.{name} failed: {described(failure)}"
        self.result = Result(heads, unscored)
        self._raise_new(0)
        owners: dict[str, str] = {}
        for name, scores in heads.items():
            _claim(owners, "figure", scores.figures, name)
        return self.result

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.errors[name] = error

    def _raise_new(self, before: int) -> None:
        for error in [*self.errors.values()][before:]:
            raise error


def described(error: Exception) -> str:
    """Describe an error in one line; one that is no ``BevError`` by its type and place."""
    if isinstance(error, BevError):
        return str(error)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else text


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
            raise ConfigError(
                f"Head model.{name} ({type(head).__name__}) fails in its {step} for sample"
                f" {batch.tokens[0]}: {described(error)}"
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

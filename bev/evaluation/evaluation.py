"""One evaluation of a split, for the validation of a training run and for ``bevlab evaluate``.

The idea: an accumulator takes predictions batch by batch, whoever drives the loop (Lightning, or
``bev.evaluation.predict``); those of several processes are brought together; and it is scored once,
at the end. What is measured is each head's own affair, see ``bev.evaluation.base``.
"""

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch.distributed

import bev.evaluation.boxes
import bev.evaluation.depth
import bev.evaluation.nuscenes.boxes
import bev.evaluation.segmentation  # noqa: F401  (each registers its head's evaluator)
from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.errors import BevError, ConfigError
from bev.evaluation.base import EvaluatedSplit, Evaluator, evaluator
from bev.evaluation.sample_sums import SampleSums
from bev.evaluation.scores import Scores
from bev.evaluation.table import scores_table
from bev.models import Detector, DetectorConfig
from bev.models.detector import Prediction, check_terms


@dataclass(frozen=True)
class Result:
    """Scores of an evaluated split.

    Attributes:
        heads: the scores of each head, by name.
    """

    heads: Mapping[str, Scores]

    def scalars(self) -> dict[str, float]:
        """All figures, for a logger."""
        return {n: value for one in self.heads.values() for n, value in one.figures.items()}

    @property
    def classes(self) -> Mapping[str, Mapping[str, float]]:
        """By class, the value of each column; empty where no head has classes."""
        return next((one.classes for one in self.heads.values() if one.classes), {})

    @property
    def note(self) -> str:
        """Definition of the figures, where it is needed to compare them; else empty."""
        return " ".join(one.note for one in self.heads.values() if one.note)

    def text(self) -> str:
        """For a terminal, without a trailing line break."""
        return scores_table(self.heads)


def evaluators(model: DetectorConfig, data: DataConfig) -> dict[str, Evaluator]:
    """The evaluator of each head that has one, by the head's name.

    Raises:
        ConfigError: where a head has none and needs one, where two have one headline, and where the
            model's labels are not those of the data.
    """
    for what, own, there in model.labels.renamed(data.source.labels):
        raise ConfigError(
            f"The model's {what} are {', '.join(own) or 'none'} and those of data.source"
            f" {type(data.source).__name__} are {', '.join(there) or 'none'}; use a source with the"
            " same, or train a model with labels = None, which takes the source's."
        )
    found = {name: evaluator(head, name, model, data) for name, head in model.heads.items()}
    found = {name: one for name, one in found.items() if one is not None}
    owners: dict[str, str] = {}
    for name, one in found.items():
        _claim(owners, "figure", one.headlines, name)
    return found


def headline(model: DetectorConfig, data: DataConfig) -> str:
    """The figure that decides which checkpoint is the best: that of the first head that has one.

    Raises:
        ConfigError: where no head's evaluator has one.
    """
    found = evaluators(model, data)
    names = [name for one in found.values() for name in one.headlines]
    if not names:
        raise ConfigError(
            f"The evaluators of {', '.join(found) or 'no head'} name no headline figure, by which"
            " checkpoints are compared; set `headlines` of one."
        )
    return names[0]


class Evaluation:
    """Accumulates a detector's predictions of a split, and scores them.

    Args:
        model: settings of the detector.
        data: that are evaluated.

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
        """Bring what all processes found together on the first; does nothing where there is one."""
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
        """Score the whole split, of which every sample has been predicted, and leave files.

        Raises:
            ConfigError: where two heads have a figure of one name.
            DataError: where the data have no ground truth to score against.
        """
        result = Result({name: one.compute(split) for name, one in self.evaluators.items()})
        owners: dict[str, str] = {}
        for name, one in result.heads.items():
            _claim(owners, "figure", one.figures, name)
        return result


@torch.no_grad()
def try_out(model: Detector, batch: Batch, data: DataConfig) -> None:
    """Compute each head's loss, result and measures of a batch once, before a run begins.

    So a head that does not work ends the run at its start.

    Raises:
        ConfigError: names the head, what was tried, and what went wrong.
        BevError: of the heads themselves.
    """
    own, training = evaluators(model.config, data), model.training
    features = model.eval().features(batch)
    terms: dict[str, str] = {}  # loss terms and figures, and the head that has them
    for name, one in own.items():
        _claim(terms, "figure", one.headlines, name)
    for name in model.config.heads:
        head, one = getattr(model, name), own.get(name)
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
                figures = one.figures(sum(one.samples.values()))
                _claim(terms, "figure", figures, name)
                if missing := [n for n in one.headlines if figures and n not in figures]:
                    raise ConfigError(
                        f"Head model.{name}: {type(one).__name__} has the headline {missing[0]!r},"
                        f" and its figures are {', '.join(figures)}."
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
    """Note whose the names are.

    Raises:
        ConfigError: where one is another head's.
    """
    for name in names:
        key = f"{what} {name!r}"
        if owners.setdefault(key, head) != head:
            raise ConfigError(
                f"Head model.{head}: the {key} is that of head model.{owners[key]}; give it a name"
                " of its own."
            )

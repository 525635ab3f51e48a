"""The evaluation of all heads of a model: the figures of every evaluator, side by side."""

from dataclasses import dataclass, field
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from specs import gt_batch

from bev.data.nuscenes.classes import NUSCENES
from bev.data.settings import DataConfig
from bev.data.source import FrameSource
from bev.errors import ConfigError
from bev.evaluation.base import EvaluatedSplit, evaluator
from bev.evaluation.evaluation import Evaluation, Result, headline
from bev.evaluation.sample_sums import SampleSums
from bev.evaluation.scores import Scores
from bev.evaluation.table import class_rows
from bev.geometry import Boxes3D
from bev.models import CenterHeadConfig, DetectorConfig, HeadConfig
from bev.models.detector import DetectorOutput, Prediction


@dataclass(frozen=True)
class CountConfig(HeadConfig):
    """Settings of a head that predicts a number.

    Attributes:
        figure: name of the figure.
        headline: whether the figure is the headline of the head.
    """

    figure: str = "count"
    headline: bool = True


@evaluator.register(CountConfig)
class Counted(SampleSums):
    """Evaluates the mean of the predicted numbers."""

    note = "Counts by hand."

    def __init__(self, config, *others):
        super().__init__(config, *others)
        self.headlines = (config.figure,) if config.headline else ()

    def measure(self, decoded, batch):
        return torch.stack([decoded, torch.ones_like(decoded)], dim=1)

    def figures(self, sums):
        return {self.config.figure: float(sums[0] / sums[1])}


@dataclass(frozen=True)
class TwoCounts(DetectorConfig):
    """A model with two of these heads and without boxes."""

    labels: object = NUSCENES
    head: CenterHeadConfig = CenterHeadConfig(tasks=())
    first: CountConfig = CountConfig()
    second: CountConfig = field(default_factory=lambda: CountConfig("other", headline=False))


def evaluated(model: TwoCounts, first=(1.0, 2.0), second=(3.0, 5.0)) -> Evaluation:
    """The evaluation after one batch of two samples."""
    found = Evaluation(model, DataConfig())
    results = {"first": torch.tensor(first), "second": torch.tensor(second)}
    found.evaluators.pop("depth_supervision")
    batch = gt_batch([Boxes3D.empty()] * 2)
    found.update(Prediction([], results, DetectorOutput({}, None)), batch)
    return found


def split(folder) -> EvaluatedSplit:
    return EvaluatedSplit(Mock(spec=FrameSource), "val", folder)


def test_each_head_has_its_own_figures_and_file(tmp_path):
    found = evaluated(TwoCounts())
    result = found.compute(split(tmp_path))
    assert result.scalars() == {"count": 1.5, "other": 4.0}
    assert result.note == "Counts by hand. Counts by hand." and not result.classes
    assert [line.split() for line in result.text().splitlines()] == [
        ["count", "1.5000"], ["other", "4.0000"],
    ]  # fmt: skip
    for name, own in found.evaluators.items():
        assert own.read(tmp_path) == result.heads[name]
        drawn = own.resampled(split(tmp_path))
        assert drawn.tokens == ("0", "1") and drawn.score(np.array([0, 2])) == pytest.approx(
            [own.figures(own.samples["1"])[own.config.figure]]
        )


def test_the_first_headline_is_used():
    assert headline(TwoCounts(), DataConfig()) == "count"
    only_second = TwoCounts(first=CountConfig(headline=False), second=CountConfig("other"))
    assert headline(only_second, DataConfig()) == "other"
    none = TwoCounts(first=CountConfig(headline=False))
    with pytest.raises(ConfigError, match=r"evaluators of .*first, second name no headline figure"):
        headline(none, DataConfig())


def test_a_figure_of_two_heads_is_named(tmp_path):
    """A headline is refused at the start, another figure when it is computed."""
    message = r"Head model\.second: the figure 'count' is that of head model\.first"
    with pytest.raises(ConfigError, match=message):
        evaluated(TwoCounts(second=CountConfig()))
    found = evaluated(TwoCounts(second=CountConfig(headline=False)))
    with pytest.raises(ConfigError, match=message):
        found.compute(split(tmp_path))


def test_numbers_of_too_few_samples_are_named():
    message = r"Counted\.measure returns numbers of 1 samples for a batch of 2"
    with pytest.raises(ConfigError, match=message):
        evaluated(TwoCounts(), first=(1.0,))


def test_classes_are_in_a_table_below_the_figures():
    nan = float("nan")
    boxes = Scores({"mAP": 0.25}, {"van": {"AP": 0.5, "TE": nan}, "crate": {"AP": 0.0, "TE": 1.0}})
    result = Result({"area": Scores({"IoU": 0.5}), "head": boxes})
    assert class_rows(result.classes) == [("van", ["0.500", "-"]), ("crate", ["0.000", "1.000"])]
    assert [line.split() for line in result.text().splitlines()] == [
        ["mAP"], ["0.2500"], ["IoU", "0.5000"], [], ["class", "AP", "TE"],
        ["van", "0.500", "-"], ["crate", "0.000", "1.000"],
    ]  # fmt: skip
    assert list(result.scalars()) == ["IoU", "mAP"]

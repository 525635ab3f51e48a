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
from bev.errors import ConfigError, NoGroundTruthError
from bev.evaluation.base import EvaluatedSplit, evaluator
from bev.evaluation.evaluation import Evaluation, headline
from bev.evaluation.sample_sums import SampleSums
from bev.evaluation.scores import Scores
from bev.evaluation.table import Result, class_rows
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


class Failing(Exception):
    """Raised by an evaluator of a user."""


def test_a_failing_head_does_not_lose_the_results_of_another(tmp_path, monkeypatch):
    """In a batch, or in its figures; the error is raised once the other head is written."""

    def fail(self, *_):
        if self.name == "first":
            raise Failing("one\nlike this")
        return plain(self, *_)

    for method in ("measure", "figures"):
        with monkeypatch.context() as patch:
            plain, folder = getattr(Counted, method), tmp_path / method
            found = evaluated(TwoCounts())
            evaluated(TwoCounts()).compute(split(folder))  # an earlier evaluation of the folder
            patch.setattr(Counted, method, fail)
            batch = gt_batch([Boxes3D.empty()])
            results = {name: torch.tensor([4.0]) for name in ("first", "second")}
            prediction = Prediction([], results, DetectorOutput({}, None))
            if method == "measure":
                with pytest.raises(Failing):
                    found.update(prediction, batch)
                assert list(found.going) == ["second"]
            found.update(prediction, batch)  # goes on without the head that has failed
            with pytest.raises(Failing):
                found.compute(split(folder))
            assert found.result.scalars() == {"other": 4.5}  # token 0 again: (4 + 5) / 2
            assert (folder / "second.json").is_file() and not (folder / "first.json").exists()
            reason = "The evaluation of head model.first failed: Failing: one like this ("
            assert found.result.missing.startswith(reason)


def test_results_are_written_before_anything_is_scored(tmp_path, monkeypatch):
    acts = []

    def compute(self, place):
        acts.append(("compute", self.name))
        raise NoGroundTruthError(f"No ground truth of {self.name}.")

    monkeypatch.setattr(Counted, "write", lambda self, _: acts.append(("write", self.name)))
    monkeypatch.setattr(Counted, "compute", compute)
    result = evaluated(TwoCounts()).compute(split(tmp_path))
    assert acts == [(act, name) for act in ("write", "compute") for name in ("first", "second")]
    assert result.missing == "No ground truth of first; not scored either: second."
    assert result.text() == result.missing and result.scalars() == {}


def test_a_head_that_fails_in_one_process_fails_in_all(monkeypatch):
    found = evaluated(TwoCounts())
    other = evaluated(TwoCounts())
    other.errors["first"] = Failing("over there")
    sent = []
    distributed = "torch.distributed"
    monkeypatch.setattr(f"{distributed}.is_initialized", lambda: True)
    monkeypatch.setattr(f"{distributed}.get_world_size", lambda: 2)
    monkeypatch.setattr(f"{distributed}.gather_object", lambda own, _: sent.append(own))
    monkeypatch.setattr(f"{distributed}.get_rank", lambda: 1)
    other.gather()

    def gather(own, parts):
        parts[:] = [own, *sent]

    monkeypatch.setattr(f"{distributed}.gather_object", gather)
    monkeypatch.setattr(f"{distributed}.get_rank", lambda: 0)
    found.gather()
    assert list(found.going) == ["second"]
    assert str(found.errors["first"]) == "Failing: over there"


def test_results_that_cannot_be_gathered_are_lost_alone(monkeypatch):
    """In the other process one head cannot send its results; here one cannot merge them."""
    found, other, sent = evaluated(TwoCounts()), evaluated(TwoCounts()), []
    distributed = "torch.distributed"
    monkeypatch.setattr(f"{distributed}.is_initialized", lambda: True)
    monkeypatch.setattr(f"{distributed}.get_world_size", lambda: 2)
    monkeypatch.setattr(f"{distributed}.gather_object", lambda own, _: sent.append(own))
    monkeypatch.setattr(f"{distributed}.get_rank", lambda: 1)
    failing = Mock(side_effect=Failing("no room"))
    with monkeypatch.context() as patch:
        patch.setattr(other.evaluators["first"], "state", failing)
        other.gather()

    def gather(own, parts):
        parts[:] = [own, *sent]

    monkeypatch.setattr(f"{distributed}.gather_object", gather)
    monkeypatch.setattr(f"{distributed}.get_rank", lambda: 0)
    monkeypatch.setattr(found.evaluators["second"], "merge", failing)
    found.gather()
    assert not found.going and "no room" in str(found.errors["first"])
    assert isinstance(found.errors["second"], Failing)


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

"""The interface of heads: each fault is an error that names the head."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import nn

from bev.config import Experiment
from bev.data.settings import DataConfig
from bev.errors import ConfigError
from bev.evaluation.base import evaluator
from bev.evaluation.evaluation import evaluators, headline, try_out
from bev.models import DetectorConfig, Head, HeadConfig
from bev.serialization import from_plain, to_plain
from bev.training.settings_check import check_settings


@dataclass(frozen=True)
class MeanConfig(HeadConfig):
    """Settings of a head that predicts one number per sample, with 1 as its target.

    Attributes:
        term: name of the loss.
        form: shape of the loss; () for a scalar.
        mapping: whether the loss is a mapping.
    """

    term: str = "mean"
    form: tuple[int, ...] = ()
    mapping: bool = True

    def build(self, spec):
        return Mean(self, spec)


class Mean(Head):
    def __init__(self, config, spec):
        super().__init__()
        self.config = config
        self.layer = nn.Linear(spec.channels, 1)

    def forward(self, features):
        return self.layer(features.bev.mean(dim=(2, 3)))

    def loss(self, output, batch):
        value = (output - 1).square().mean().expand(self.config.form)
        return {self.config.term: value} if self.config.mapping else value


@dataclass(frozen=True)
class WithMean(DetectorConfig):
    """A detector with this head."""

    mean: MeanConfig = field(default_factory=MeanConfig)


def with_mean(config: DetectorConfig, **chosen) -> WithMean:
    return WithMean(**vars(config), mean=MeanConfig(**chosen))


def test_a_field_of_a_subclass_is_a_head(small, batch):
    """The head is built, trained and run with the others, under the name of the field."""
    config = with_mean(small)
    assert [*config.heads] == ["head", "depth_supervision", "mean"]
    model = config.build()
    terms = model.loss(batch)
    assert set(terms) == {"heatmap", "regression", "mean"}
    sum(terms.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    found = model.eval().predict(batch)
    assert found.results["mean"].shape == (2, 1) and len(found.boxes) == 2
    assert torch.equal(found.results["mean"], found.output.heads["mean"])


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"term": "heatmap"}, r"Head model\.mean: another head has the loss term 'heatmap' too"),
        ({"form": (3,)}, r"Head model\.mean: its loss gives no mapping of names to scalar tensors"),
        ({"mapping": False}, r"Head model\.mean: its loss gives no mapping of names to scalar"),
    ],
)
def test_a_loss_that_cannot_be_summed_is_named(small, batch, chosen, message):
    with pytest.raises(ConfigError, match=message):
        with_mean(small, **chosen).build().loss(batch)


def test_a_head_that_cannot_be_flipped_is_named(small, batch):
    symmetric = replace(small, grid=replace(small.grid, y=(-16.0, 16.0, 1.0)), flip_tta=True)
    model = with_mean(symmetric).build().eval()
    with pytest.raises(ConfigError, match=r"Mean does not define `averaged`.*no-flip-tta"):
        model.predict(batch)


def test_a_custom_head_in_place_of_another_is_saved(small, tmp_path):
    """Settings of version 0.1.0, which name no class, are read as those of the default head."""
    config = Experiment(replace(small, segmentation=MeanConfig(term="own")))
    plain = to_plain(config)
    assert plain["model"]["segmentation"]["type"] == "MeanConfig"
    assert from_plain(Experiment, plain) == config
    plain["model"]["segmentation"] = {"layers": ["vehicle"]}
    assert from_plain(Experiment, plain).model.segmentation.layers == ("vehicle",)


def test_a_head_with_the_name_of_another_part_is_refused(small):
    @dataclass(frozen=True)
    class Clashing(DetectorConfig):
        features: MeanConfig = field(default_factory=MeanConfig)

    with pytest.raises(ConfigError, match=r"Head model\.features has the name of another part"):
        Clashing(**vars(small)).build()


def test_a_head_without_an_evaluator_is_refused_before_training(small):
    config = with_mean(small)
    message = r"Head model\.mean \(MeanConfig\) has no evaluator; register one"
    with pytest.raises(ConfigError, match=message):
        evaluators(config, DataConfig())
    with pytest.raises(ConfigError, match=message):
        check_settings(Experiment(config, DataConfig()))

    @dataclass(frozen=True)
    class Auxiliary(MeanConfig):
        @property
        def auxiliary(self) -> bool:
            return True

    assert evaluator(Auxiliary(), "mean", config, DataConfig()) is None


@dataclass(frozen=True)
class FaultyConfig(MeanConfig):
    """Settings of a head that fails in one of its methods.

    Attributes:
        part: name of the method.
    """

    part: str = "forward"

    @property
    def auxiliary(self) -> bool:
        return True

    def build(self, spec):
        head = Mean(self, spec)

        def fail(*_):
            raise IndexError("index 7 is out of bounds")

        setattr(head, self.part, fail)
        return head


@pytest.mark.parametrize("part", ["forward", "loss", "decode"])
def test_a_head_that_fails_ends_a_run_at_its_start(small, batch, part):
    """The error names head, method and sample; a valid model is left unchanged."""
    model = WithMean(**vars(small), mean=FaultyConfig(part=part)).build().train()
    message = rf"Head model\.mean \(Mean\) fails in its {part} for sample one: IndexError: index 7"
    with pytest.raises(ConfigError, match=message):
        try_out(model, batch, DataConfig())
    sound = small.build().train()
    before = {name: value.clone() for name, value in sound.state_dict().items()}
    try_out(sound, batch, DataConfig())
    assert sound.training
    assert all(torch.equal(value, before[name]) for name, value in sound.state_dict().items())


def test_a_model_without_labels_is_not_built(small):
    with pytest.raises(ConfigError, match=r"model\.labels is not set"):
        replace(small, labels=None).build()


def test_labels_of_model_and_source_must_be_the_same(small):
    labels = small.labels
    fewer = {
        "classes": replace(labels, classes=labels.classes[:9]),
        "attributes": replace(labels, attributes=labels.attributes[::-1]),
        "layers": replace(labels, layers=labels.layers[:2]),
    }
    for kind, own in fewer.items():
        message = (
            rf"The {kind} of the model are .* and those of data\.source \(NuScenesConfig\) are"
        )
        with pytest.raises(ConfigError, match=message):
            evaluators(replace(small, labels=own), DataConfig())
    # Colours may differ.
    grey = tuple(replace(one, color=(9, 9, 9)) for one in labels.classes)
    assert headline(replace(small, labels=replace(labels, classes=grey)), DataConfig()) == "NDS"

"""Conversion of published checkpoint files: read, detect the family, convert, write.

The family of a file is detected from the names and shapes of its tensors. Each family has a config
that rebuilds its model; the docstring of the config lists what it does not reproduce.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from bev.config import Experiment
from bev.errors import CheckpointError, ConfigError, WeightsError
from bev.files import replacing
from bev.lab.convert.bevdepth import bevdepth_restated, bevdepth_rules
from bev.lab.convert.bevdet import (
    dev2_restated,
    dev2_rules,
    first_release_restated,
    first_release_rules,
)
from bev.lab.convert.rename import Faults, Rule, Source, converted, faults, sources
from bev.models import DetectorConfig
from bev.models.weights.loading import read_weights
from bev.serialization import to_plain


@dataclass(frozen=True)
class Family:
    """Family of checkpoints of one published architecture.

    Attributes:
        config: file name (without ``.py``) of the config that rebuilds the architecture.
        rules: function from the model settings to the rules that make our tensors.
        restated: function from the config to the published tensors that only repeat settings of
            the config, with their expected values.
    """

    config: str
    rules: Callable[[DetectorConfig], list[Rule]]
    restated: Callable[[Experiment], dict[str, Tensor]]

    def sources(self, config: Experiment) -> dict[str, Source]:
        """Sources of each tensor of the model."""
        return sources(self.rules(config.model), model_shapes(config.model))


FAMILIES = {
    "bevdet-first": Family("bevdet_r50_first", first_release_rules, first_release_restated),
    "bevdet-dev2.0": Family("bevdet_r50_dev20", dev2_rules, dev2_restated),
    "bevdet-dev2.1": Family("bevdet_r50_dev21", dev2_rules, dev2_restated),
    "bevdepth-1key": Family("bevdepth_r50_1key", bevdepth_rules, bevdepth_restated),
    "bevdepth-2key": Family("bevdepth_r50_2key", bevdepth_rules, bevdepth_restated),
}


@dataclass(frozen=True)
class Conversion:
    """Converted checkpoint.

    Attributes:
        family: name of the family.
        config: config that rebuilds the model.
        weights: our state dict.
        used: number of published tensors that the weights are made of.
        unused: names of published tensors that only repeat settings of the config.
    """

    family: str
    config: Experiment
    weights: dict[str, Tensor]
    used: int
    unused: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write a checkpoint that ``load_checkpoint`` reads; the folder must exist."""
        content = {
            "config": to_plain(self.config),
            "state_dict": {f"model.{name}": value for name, value in self.weights.items()},
        }
        with replacing(path) as partial:
            torch.save(content, partial)


def read_published(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a checkpoint of mmcv or Lightning, or a bare state dict.

    Only plain data and tensors are read, so an untrusted checkpoint runs no code. The prefix of a
    wrapper (``module.``, ``model.``) is removed if all names have it.

    Raises:
        CheckpointError: if the file is missing, cannot be read this way, or contains no tensors.
    """
    try:
        published = read_weights(path)
    except WeightsError as error:
        raise CheckpointError(f"Checkpoint {path} cannot be used. {error}") from error
    if all(name.startswith("model.") for name in published):
        published = {name.removeprefix("model."): value for name, value in published.items()}
    return published


def convert(
    published: Mapping[str, Tensor], configs: Mapping[str, Experiment], family: str = ""
) -> Conversion:
    """Convert a published state dict.

    Args:
        published: state dict, as returned by :func:`read_published`.
        configs: configs of the families, by name of the family.
        family: name of the family; empty detects it.

    Raises:
        ConfigError: if the family is unknown.
        CheckpointError: if the state dict does not match the family, or none of them; names the
            tensors that are missing, unexpected or of another shape in the nearest family.
    """
    if family and family not in configs:
        raise ConfigError(f"Family {family!r} is none of {', '.join(configs)}.")
    names = [family] if family else list(configs)
    made_of = {name: FAMILIES[name].sources(configs[name]) for name in names}
    restated = {name: FAMILIES[name].restated(configs[name]) for name in names}
    wrong: dict[str, Faults] = {
        name: faults(made_of[name], restated[name], published) for name in names
    }
    best = min(names, key=lambda name: len(wrong[name]))
    if wrong[best]:
        match = f"matches none of {', '.join(names)}; the nearest is {best}"
        if family:
            match = f"does not match {best}"
        raise CheckpointError(f"The checkpoint {match}: {wrong[best]}.")
    return Conversion(
        family=best,
        config=configs[best],
        weights=converted(made_of[best], published),
        used=len({name for source in made_of[best].values() for name in source.names}),
        unused=tuple(name for name in restated[best] if name in published),
    )


@cache
def model_shapes(model: DetectorConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model's state dict; nothing is allocated or downloaded."""
    backbone = model.backbone.without_weights()
    with torch.device("meta"):
        detector = replace(model, backbone=backbone).build()
    return {name: tuple(value.shape) for name, value in detector.state_dict().items()}

"""From a published checkpoint file to one of this project: read, recognise, convert, write.

Which family a file is of shows in the names and shapes of its tensors alone. Each family has a
config that rebuilds its model; what that does not reproduce stands in the config's docstring.
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
    """Checkpoints of one published architecture.

    Attributes:
        config: file name (without ``.py``) of the config that rebuilds it.
        rules: from the config's model, what our tensors are made of.
        restated: from the config, the published tensors that only say what the config says.
    """

    config: str
    rules: Callable[[DetectorConfig], list[Rule]]
    restated: Callable[[Experiment], dict[str, Tensor]]

    def sources(self, config: Experiment) -> dict[str, Source]:
        """What each tensor of the model is made of."""
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
    """A published checkpoint as one of this project.

    Attributes:
        family: its name.
        config: that rebuilds it.
        weights: our state dict.
        used: how many published tensors these are made of.
        unused: published tensors that only restate the config.
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
    """The state dict of a checkpoint of mmcv or Lightning, or one that is saved bare.

    Only plain data and tensors are read: a stranger's checkpoint runs no code. The prefix of a
    wrapper (``module.``, ``model.``) is taken off where all names have it.

    Raises:
        CheckpointError: where the file is missing, cannot be read so, or holds no tensors.
    """
    try:
        found = read_weights(path)
    except WeightsError as error:
        raise CheckpointError(f"Checkpoint {path} cannot be used. {error}") from error
    if all(name.startswith("model.") for name in found):
        found = {name.removeprefix("model."): value for name, value in found.items()}
    return found


def convert(
    found: Mapping[str, Tensor], configs: Mapping[str, Experiment], family: str = ""
) -> Conversion:
    """Convert a published state dict.

    Args:
        found: see :func:`read_published`.
        configs: of each family, by its name.
        family: its name; empty to recognise it.

    Raises:
        ConfigError: for an unknown family.
        CheckpointError: names the tensors that are missing, unexpected or of another shape, against
            the family that is nearest.
    """
    if family and family not in configs:
        raise ConfigError(f"Family {family!r} is none of {', '.join(configs)}.")
    names = [family] if family else list(configs)
    made_of = {name: FAMILIES[name].sources(configs[name]) for name in names}
    restated = {name: FAMILIES[name].restated(configs[name]) for name in names}
    wrong: dict[str, Faults] = {
        name: faults(made_of[name], restated[name], found) for name in names
    }
    best = min(names, key=lambda name: len(wrong[name]))
    if wrong[best]:
        what = f"no {best}" if family else f"none of {', '.join(names)}; nearest is {best}"
        raise CheckpointError(f"The checkpoint is {what}: {wrong[best]}.")
    return Conversion(
        family=best,
        config=configs[best],
        weights=converted(made_of[best], found),
        used=len({name for source in made_of[best].values() for name in source.names}),
        unused=tuple(name for name in restated[best] if name in found),
    )


@cache
def model_shapes(model: DetectorConfig) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a model's state dict; nothing is allocated or fetched."""
    backbone = model.backbone.without_weights()
    with torch.device("meta"):
        detector = replace(model, backbone=backbone).build()
    return {name: tuple(value.shape) for name, value in detector.state_dict().items()}

"""Body of a backbone from timm: creation, weights, input size, stages and blocks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import FeatureHookNet, FeatureInfo
from torch import nn

from bev.errors import ConfigError
from bev.models.image.depthwise import depthwise_in_float32
from bev.models.image.pretrained import fill, fill_from_file, timm_weights
from bev.models.recompute import blocks
from bev.models.weights.report import WeightsReport


def create(
    name: str,
    strides: Sequence[int],
    widths: Mapping[str, Any],
    weights: Path | None = None,
    pretrained: bool = False,
) -> tuple[nn.Module, WeightsReport | None]:
    """Create a feature model and load its weights.

    Args:
        name: name of the timm model.
        strides: strides of the feature maps to return, ascending.
        widths: further arguments of the model, such as ``channels``; empty values are left out.
        weights: local weights file.
        pretrained: load timm's weights if there is no local file.

    Returns:
        The model, and a report on the loaded weights; None for random weights.

    Raises:
        ConfigError: if the model name is unknown, or the model lacks a stride.
        WeightsError: if pretrained weights cannot be fetched or a weights file does not fit.
    """
    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0][:6]}*")[:5]
        raise ConfigError(f"Backbone {name!r} is not a model of timm; similar names: {near}.")
    options = _options(name, {key: value for key, value in widths.items() if value})
    body = timm.create_model(name, **options, **_levels(name, strides, options))
    depthwise_in_float32(body)
    if weights is not None:
        return body, fill_from_file(body, weights, name, options)
    if pretrained:
        return body, fill(body, timm_weights(name, options), f"timm's {name}", name)
    return body, None


def feature_info(body: nn.Module) -> FeatureInfo:
    """Channels, strides and module names of the feature maps of a timm feature model."""
    return cast(FeatureInfo, body.feature_info)


def normalisation(body: nn.Module) -> dict[str, list[float]]:
    """Default ``mean`` and ``std`` of the model for red, green and blue, 0 to 255."""
    data = resolve_model_data_config(body)
    return {name: [255 * x for x in data[name]] for name in ("mean", "std")}


def input_size(body: nn.Module) -> tuple[int, int]:
    """Image size (H, W) that the model was trained for."""
    _, height, width = resolve_model_data_config(body)["input_size"]
    return height, width


def _options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments for timm: the given ones, and one for any image size if the model supports it."""
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size and "img_size" not in given:
        # Of window-based models, and of plain transformers.
        for freedom in ("strict_img_size", "dynamic_img_size"):
            choice: dict[str, Any] = {freedom: freedom.startswith("dynamic")}
            try:
                with torch.device("meta"):
                    timm.create_model(name, **given, **choice)
            except TypeError:
                continue
            return given | choice
    return given


def _levels(name: str, strides: Sequence[int], options: dict[str, Any]) -> dict[str, Any]:
    """Arguments for timm that select the feature maps with some strides."""
    with torch.device("meta"):  # only to read the strides, without allocating memory
        info = feature_info(timm.create_model(name, features_only=True, **options))
    available = [level["reduction"] for level in info.get_dicts()]
    missing = [stride for stride in strides if stride not in available]
    if missing:
        raise ConfigError(f"Backbone {name} has strides {available}, not {missing}.")
    # The deepest level of each stride.
    deepest = dict(zip(available, info.out_indices, strict=True))
    return {"features_only": True, "out_indices": tuple(deepest[stride] for stride in strides)}


def recomputable_blocks(body: nn.Module, name: str) -> list[nn.Module]:
    """Blocks of a timm feature model that support gradient checkpointing."""
    hooked = isinstance(body, FeatureHookNet)  # hooks would run twice
    inner = getattr(body, "model", body)  # some feature models wrap the full model
    recomputable = [] if hooked else list(blocks(inner))
    if not recomputable:
        raise ConfigError(
            f"Backbone {name} has no blocks that can be recomputed; set"
            " --model.backbone.no-checkpointing."
        )
    return recomputable


def frozen_modules(body: nn.Module, stages: int) -> list[nn.Module]:
    """Stem and first ``stages`` stages (stride 4 and more) of a timm feature model."""
    if stages == 0:
        return []
    levels = feature_info(body).info
    names = [level["module"] for level in levels if level["reduction"] >= 4]
    frozen = _up_to(body, names[stages - 1].split(".")) if stages <= len(names) else []
    if not frozen:
        raise ConfigError(
            f"frozen_stages={stages} does not fit this backbone, whose stages are {names}; freeze"
            " parts by name, e.g. --train.stages.0.frozen backbone.body.conv1."
        )
    return frozen


def _up_to(parent: nn.Module, path: list[str]) -> list[nn.Module]:
    """Children of a module up to and including the one at ``path``; empty if it is absent."""
    modules: list[nn.Module] = []
    for name, child in parent.named_children():
        if name in (path[0], "_".join(path)):  # timm flattens some models
            inner = path[1:] if name == path[0] else []
            last = _up_to(child, inner) if inner else [child]
            return [*modules, *last] if last else []
        modules.append(child)
    return []

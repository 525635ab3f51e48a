"""A backbone's body from timm: created, filled with weights, asked for its sizes and stages."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import FeatureHookNet
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
    """The body, and the report of the weights that it starts from (None where they are random).

    Args:
        name: of the model.
        strides: of the feature maps that it returns, ascending.
        widths: further arguments of the model, such as ``channels``; empty ones are left out.
        weights: a local file; else timm's own where ``pretrained``.

    Raises:
        ConfigError: for an unknown model name or a stride that the model does not have.
        WeightsError: where pretrained weights cannot be fetched or a weights file does not fit.
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


def normalisation(body: nn.Module) -> dict[str, list[float]]:
    """The model's own ``mean`` and ``std`` of red, green and blue, 0 to 255."""
    data = resolve_model_data_config(body)
    return {name: [255 * x for x in data[name]] for name in ("mean", "std")}


def input_size(body: nn.Module) -> tuple[int, int]:
    """(H, W) that the model was trained for."""
    return tuple(resolve_model_data_config(body)["input_size"][1:])


def _options(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of timm beside the name: those given, and images of any size where it can."""
    fixed = timm.get_pretrained_cfg(name).fixed_input_size
    if fixed and "img_size" not in given:
        for freedom in ("strict_img_size", "dynamic_img_size"):  # windowed models, plain ones
            choice = {freedom: freedom.startswith("dynamic")}
            try:
                with torch.device("meta"):
                    timm.create_model(name, **given, **choice)
            except TypeError:
                continue
            return given | choice
    return given


def _levels(name: str, strides: Sequence[int], options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of timm for the feature maps of some strides."""
    with torch.device("meta"):  # asked for its strides alone: nothing is allocated
        info = timm.create_model(name, features_only=True, **options).feature_info
    found = [level["reduction"] for level in info.get_dicts()]
    missing = [stride for stride in strides if stride not in found]
    if missing:
        raise ConfigError(f"Backbone {name} has strides {found}, not {missing}.")
    # The deepest level of each stride.
    deepest = dict(zip(found, info.out_indices, strict=True))
    return {"features_only": True, "out_indices": tuple(deepest[stride] for stride in strides)}


def recomputable_blocks(body: nn.Module, name: str) -> list[nn.Module]:
    """The blocks of a timm feature model that can be computed again."""
    hooked = isinstance(body, FeatureHookNet)  # hooks would fire again
    inner = getattr(body, "model", body)  # some feature models wrap the whole one
    found = [] if hooked else list(blocks(inner))
    if not found:
        raise ConfigError(
            f"Backbone {name} has no blocks that can be computed again; set"
            " --model.backbone.no-checkpointing."
        )
    return found


def frozen_modules(body: nn.Module, stages: int) -> list[nn.Module]:
    """The stem and the first ``stages`` stages (maps at stride 4 and coarser) of a timm model."""
    if stages == 0:
        return []
    names = [level["module"] for level in body.feature_info.info if level["reduction"] >= 4]
    frozen = _up_to(body, names[stages - 1].split(".")) if stages <= len(names) else []
    if not frozen:
        raise ConfigError(
            f"frozen_stages={stages} does not fit this backbone, whose stages are {names}; freeze"
            " parts by name, e.g. --train.stages.0.frozen backbone.body.conv1."
        )
    return frozen


def _up_to(parent: nn.Module, path: list[str]) -> list[nn.Module]:
    """Children of a module up to and including the one at ``path``; empty where it is absent."""
    found = []
    for name, child in parent.named_children():
        if name in (path[0], "_".join(path)):  # timm flattens some models
            inner = path[1:] if name == path[0] else []
            own = _up_to(child, inner) if inner else [child]
            return [*found, *own] if own else []
        found.append(child)
    return []

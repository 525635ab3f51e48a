"""Image backbones: any ``features_only`` model of timm, by name.

Channels, strides and the normalisation are asked from the model; nothing is hard-coded.
"""

import pickle
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from jaxtyping import Float, UInt8
from timm.data import resolve_model_data_config
from timm.models._features import FeatureGetterNet, FeatureHookNet
from torch import Tensor, nn

from bev.errors import ConfigError, WeightsError
from bev.models.recompute import blocks, recompute


@dataclass(frozen=True)
class BackboneConfig:
    """Settings of :class:`Backbone`.

    Attributes:
        name: a timm model (``timm.list_models()``).
        pretrained: fetch timm's weights (from the hub, or its cache).
        weights: a local weights file of that model instead (``.pth``, ``.safetensors``).
        strides: which feature maps to return, by stride, ascending.
        channels: widths of the stages, for models that take them (ResNets); empty for the model's
            own.
        stem: width of the stem, for models that take ``stem_width`` (ResNets); 0 for its own.
        frozen_stages: keep the stem and this many first stages fixed, batch norm statistics
            included; 0 trains everything.
        checkpointing: compute the blocks' activations again in the backward pass instead of keeping
            them: less memory, more time, the same gradients.
        mean, std: of red, green and blue (0 to 255) for the normalisation; empty for the model's.
    """

    name: str = "resnet50"
    pretrained: bool = True
    weights: Path | None = None
    strides: tuple[int, ...] = (16, 32)
    channels: tuple[int, ...] = ()
    stem: int = 0
    frozen_stages: int = 0
    checkpointing: bool = False
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def build(self) -> "Backbone":
        """Build the backbone; see :class:`Backbone` for the errors raised."""
        return Backbone(self)


class Backbone(nn.Module):
    """uint8 images to feature maps at the configured strides.

    Attributes:
        channels: of each returned map.
        strides: of each returned map, pixels per cell.

    Raises:
        ConfigError: for an unknown model name, a stride that the model does not have, or a model
            without blocks to recompute where ``checkpointing`` is asked for.
        WeightsError: where pretrained weights cannot be fetched or a weights file does not fit.
    """

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        if not timm.is_model(config.name):
            near = timm.list_models(f"*{config.name.split('.')[0][:6]}*")[:5]
            raise ConfigError(
                f"Backbone {config.name!r} is not a model of timm; similar names: {near}."
            )
        self.body = _create(config)
        self.channels = tuple(self.body.feature_info.channels())
        self.strides = tuple(self.body.feature_info.reduction())
        data = resolve_model_data_config(self.body)
        for name in ("mean", "std"):
            value = torch.tensor(getattr(config, name) or [255 * x for x in data[name]])
            self.register_buffer(name, value.view(1, -1, 1, 1), persistent=False)
        self.frozen = _frozen_modules(self.body, config.frozen_stages)
        for module in self.frozen:
            module.requires_grad_(False)
        if config.checkpointing:
            recompute(_blocks(self.body, config.name))

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, images: UInt8[Tensor, "M 3 H W"]) -> list[Float[Tensor, "M _ _ _"]]:
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        return self.body(normalised.contiguous(memory_format=torch.channels_last))


def _create(config: BackboneConfig) -> nn.Module:
    """The timm model with the levels of the configured strides, and its weights."""
    widths = {"channels": config.channels, "stem_width": config.stem}
    extra = {name: value for name, value in widths.items() if value}
    with torch.device("meta"):  # asked for its strides alone: nothing is allocated
        info = timm.create_model(config.name, features_only=True, **extra).feature_info
    strides = [level["reduction"] for level in info.get_dicts()]
    missing = [stride for stride in config.strides if stride not in strides]
    if missing:
        raise ConfigError(f"Backbone {config.name} has strides {strides}, not {missing}.")
    # The deepest level of each stride.
    levels = tuple(len(strides) - 1 - strides[::-1].index(s) for s in config.strides)
    extra |= {"features_only": True, "out_indices": levels}
    if config.weights is not None:
        _check_weights(config, widths)
        overlay = {"file": str(config.weights)}
        return timm.create_model(
            config.name, pretrained=True, pretrained_cfg_overlay=overlay, **extra
        )
    try:
        return timm.create_model(config.name, pretrained=config.pretrained, **extra)
    except Exception as error:
        if not config.pretrained:
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"Pretrained weights of {config.name} cannot be fetched ({reason}). Either start from"
            " random weights with --model.backbone.no-pretrained, or give a local file with"
            " --model.backbone.weights FILE."
        ) from error


def _check_weights(config: BackboneConfig, widths: dict) -> None:
    """Refuse a weights file that lacks or misfits a tensor: timm would leave that one random."""
    path = config.weights
    if not path.is_file():
        raise WeightsError(f"Backbone weights {path} do not exist.")
    try:
        found = timm.models.load_state_dict(str(path), weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"Backbone weights {path} cannot be read ({reason}).") from error
    with torch.device("meta"):
        options = {name: value for name, value in widths.items() if value}
        wanted = timm.create_model(config.name, num_classes=0, **options).state_dict()
    faults = [n for n, t in wanted.items() if n not in found or found[n].shape != t.shape]
    if faults:
        raise WeightsError(
            f"Backbone weights {path} do not fit {config.name}: {len(faults)} of {len(wanted)}"
            f" tensors are missing or of another shape, the first is {faults[0]}. The file must"
            " hold the weights under timm's names."
        )


def _blocks(body: nn.Module, name: str) -> list[nn.Module]:
    """The blocks of a timm feature model that can be computed again."""
    hooked = isinstance(body, FeatureHookNet)  # hooks would fire again
    inner = body.model if isinstance(body, FeatureGetterNet) else body
    found = [] if hooked else list(blocks(inner))
    if not found:
        raise ConfigError(
            f"Backbone {name} has no blocks that can be computed again; set"
            " --model.backbone.no-checkpointing."
        )
    return found


def _frozen_modules(body: nn.Module, stages: int) -> list[nn.Module]:
    """The stem and the first ``stages`` stages of a timm feature model."""
    if stages == 0:
        return []
    names = [level["module"] for level in body.feature_info.info]
    # info lists the stem's output first, then one level a stage.
    last = names[min(stages, len(names) - 1)].split(".")[0]
    children = dict(body.named_children())
    frozen = []
    for name, module in children.items():
        frozen.append(module)
        if name == last:
            return frozen
    raise ConfigError(
        f"frozen_stages={stages} does not fit this backbone, whose stages are {names}."
    )

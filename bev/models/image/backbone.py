"""Image backbones: any ``features_only`` model of timm, by name.

Channels, strides, sizes and the normalisation are asked from the model; nothing is hard-coded.
"""

import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import timm
import torch
from jaxtyping import Float, UInt8
from timm.data import resolve_model_data_config
from timm.models._features import FeatureGetterNet, FeatureHookNet
from torch import Tensor, nn

from bev.errors import ConfigError
from bev.models.image.depthwise import depthwise_in_float32
from bev.models.image.pretrained import fill, fill_from_file, timm_weights
from bev.models.image.recompute import blocks, recompute


@dataclass(frozen=True)
class BackboneConfig:
    """Settings of :class:`Backbone`.

    Attributes:
        name: a timm model (``timm.list_models()``).
        pretrained: fetch timm's weights (from the hub, or its cache).
        weights: a local file of that model instead (``.pth``, ``.safetensors``), or a checkpoint
            of this project with that backbone.
        strides: which feature maps to return, by stride, ascending.
        channels: widths of the stages, for models that take them (ResNets); empty for the model's
            own.
        stem: width of the stem, for models that take ``stem_width`` (ResNets); 0 for its own.
        frozen_stages: keep the stem and this many first stages fixed, batch norm statistics
            included; 0 trains everything.
        checkpointing: compute the blocks' activations again in the backward pass instead of keeping
            them: less memory, more time, the same gradients.
        image_size: (H, W) to build for, for models that take one size alone; empty for any size
            that the model takes.
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
    image_size: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def without_weights(self) -> "BackboneConfig":
        """The same, with nothing to fetch or read: its weights come from elsewhere."""
        return replace(self, pretrained=False, weights=None)

    def build(self) -> "Backbone":
        """Build the backbone; see :class:`Backbone` for the errors raised."""
        return Backbone(self)


class Backbone(nn.Module):
    """uint8 images to feature maps at the configured strides.

    Attributes:
        channels: of each returned map.
        strides: of each returned map, pixels per cell.
        report: what became of the weights that it starts from; None where they are random.

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
        self.config = config
        options = _options(config)
        self.body = timm.create_model(config.name, **options, **_levels(config, options))
        depthwise_in_float32(self.body)
        self.report = None
        if config.weights is not None:
            self.report = fill_from_file(self.body, config.weights, config.name, options)
        elif config.pretrained:
            state = timm_weights(config.name, options)
            self.report = fill(self.body, state, f"timm's {config.name}", config.name)
        self.channels = tuple(self.body.feature_info.channels())
        self.strides = tuple(self.body.feature_info.reduction())
        self.channels_last = getattr(self.body, "output_fmt", "NCHW") == "NHWC"
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
        maps = self.body(normalised.contiguous(memory_format=torch.channels_last))
        return [m.permute(0, 3, 1, 2) for m in maps] if self.channels_last else maps

    def feature_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """True (h, w) of each returned map for images of (H, W), asked without computing.

        Raises:
            ConfigError: where the model does not take images of this size; names one that it takes.
        """
        twin = _twin(self.config.without_weights())
        try:
            return twin._sizes(image_size)
        except NotImplementedError:  # an operator that does not work without memory
            return copy.deepcopy(self).eval()._sizes(image_size)
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            near = next(filter(twin._takes, _near_sizes(image_size, twin.body)), None)
            advice = f"It takes --data.image-size {near[0]} {near[1]}" if near else "Choose another"
            raise ConfigError(
                f"Backbone {self.config.name} does not take images of"
                f" {image_size[0]}x{image_size[1]} ({reason}). {advice}, or, if it is built for one"
                f" size, try --model.backbone.image-size {image_size[0]} {image_size[1]}."
            ) from error

    def _sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        with torch.no_grad():
            maps = self(torch.empty(1, 3, *image_size, dtype=torch.uint8, device=self.mean.device))
        if any(0 in m.shape for m in maps):
            raise ValueError("it is too small")
        return [tuple(m.shape[-2:]) for m in maps]

    def _takes(self, image_size: tuple[int, int]) -> bool:
        try:
            return bool(self._sizes(image_size))
        except (AssertionError, RuntimeError, ValueError):
            return False


def _options(config: BackboneConfig) -> dict:
    """What timm is asked for beside the name: widths, and images of any size where it can."""
    given = {
        "channels": config.channels,
        "stem_width": config.stem,
        "img_size": config.image_size,
    }
    options = {name: value for name, value in given.items() if value}
    fixed = timm.get_pretrained_cfg(config.name).fixed_input_size
    if fixed and not config.image_size:
        for freedom in ("strict_img_size", "dynamic_img_size"):  # windowed models, plain ones
            choice = {freedom: freedom.startswith("dynamic")}
            try:
                with torch.device("meta"):
                    timm.create_model(config.name, **options, **choice)
            except TypeError:
                continue
            return options | choice
    return options


def _levels(config: BackboneConfig, options: dict) -> dict:
    """What asks timm for the feature maps of the configured strides."""
    with torch.device("meta"):  # asked for its strides alone: nothing is allocated
        info = timm.create_model(config.name, features_only=True, **options).feature_info
    strides = [level["reduction"] for level in info.get_dicts()]
    missing = [stride for stride in config.strides if stride not in strides]
    if missing:
        raise ConfigError(f"Backbone {config.name} has strides {strides}, not {missing}.")
    # The deepest level of each stride.
    deepest = dict(zip(strides, info.out_indices, strict=True))
    levels = tuple(deepest[stride] for stride in config.strides)
    return {"features_only": True, "out_indices": levels}


@lru_cache(maxsize=4)
def _twin(config: BackboneConfig) -> Backbone:
    """A backbone without memory: it knows sizes and places. Norms change neither."""
    with torch.device("meta"):
        twin = Backbone(replace(config, checkpointing=False)).eval()
    _without_norms(twin.body)
    return twin


def _without_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.Identity())
        _without_norms(child)


def _near_sizes(image_size: tuple[int, int], body: nn.Module) -> list[tuple[int, int]]:
    """Sizes to try, near the one that was asked for: multiples of more and more; then its own."""
    height, width = image_size
    sizes = {
        (max(round(height / step), 1) * step, max(round(width / step), 1) * step)
        for step in (4, 8, 14, 16, 32, 64, 128, 224, 256)
    }
    near = sorted(
        sizes - {image_size}, key=lambda size: abs(size[0] - height) + abs(size[1] - width)
    )
    return near + [tuple(resolve_model_data_config(body)["input_size"][1:])]


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
    """What comes before the module at ``path``, and the module; nothing where it is not there."""
    found = []
    for name, child in parent.named_children():
        if name in (path[0], "_".join(path)):  # timm flattens some models
            inner = path[1:] if name == path[0] else []
            own = _up_to(child, inner) if inner else [child]
            return [*found, *own] if own else []
        found.append(child)
    return []

"""Image backbones: any ``features_only`` model of timm, by name.

Channels, strides, sizes and the normalisation are asked from the model; nothing is hard-coded.
"""

import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bev.errors import ConfigError
from bev.models.recompute import recompute


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
        from bev.models.image import timm_body  # timm takes seconds to import

        self.config = config
        widths = {
            "channels": config.channels,
            "stem_width": config.stem,
            "img_size": config.image_size,
        }
        self.body, self.report = timm_body.create(
            config.name, config.strides, widths, config.weights, config.pretrained
        )
        self.channels = tuple(self.body.feature_info.channels())
        self.strides = tuple(self.body.feature_info.reduction())
        self.channels_last = getattr(self.body, "output_fmt", "NCHW") == "NHWC"
        for name, own in timm_body.normalisation(self.body).items():
            value = torch.tensor(getattr(config, name) or own)
            self.register_buffer(name, value.view(1, -1, 1, 1), persistent=False)
        self.frozen = timm_body.frozen_modules(self.body, config.frozen_stages)
        for module in self.frozen:
            module.requires_grad_(False)
        if config.checkpointing:
            recompute(timm_body.recomputable_blocks(self.body, config.name))

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
            sizes = [*_near_sizes(image_size), _own_size(twin.body)]
            near = next(filter(twin._takes, sizes), None)
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


def _near_sizes(image_size: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes to try, nearest to the one that was asked for first: multiples of powers of 2 and 7."""
    height, width = image_size
    sizes = {
        (max(round(height / step), 1) * step, max(round(width / step), 1) * step)
        for step in (4, 8, 14, 16, 32, 64, 128, 224, 256)
    }
    return sorted(
        sizes - {image_size}, key=lambda size: abs(size[0] - height) + abs(size[1] - width)
    )


def _own_size(body: nn.Module) -> tuple[int, int]:
    from bev.models.image import timm_body

    return timm_body.input_size(body)

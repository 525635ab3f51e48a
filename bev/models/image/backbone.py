"""Image backbones: any timm model with ``features_only``, by name.

Channels, strides, sizes and normalisation are read from the model; nothing is hard-coded.
"""

import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from bev.bounds import Ascending, Count, Length, Natural, Positive
from bev.errors import ConfigError
from bev.models.recompute import recompute


@dataclass(frozen=True)
class BackboneConfig:
    """Settings of :class:`Backbone`.

    Attributes:
        name: name of a timm model (``timm.list_models()``).
        pretrained: load timm's pretrained weights (from the hub or its cache).
        weights: local weights file to load instead (``.pth``, ``.safetensors``), or a checkpoint of
            this project with the same backbone.
        strides: strides of the feature maps to return, ascending.
        channels: channels of the stages, for models that support the argument (ResNets); empty for
            the default of the model.
        stem: channels of the stem, for models that support ``stem_width`` (ResNets); 0 for the
            default of the model.
        frozen_stages: number of first stages to freeze together with the stem, including batch norm
            statistics; 0 trains everything.
        checkpointing: recompute the activations of the blocks in the backward pass instead of
            storing them: less memory, more time, the same gradients.
        image_size: (H, W) to build the model for, for models with a fixed image size; empty for any
            size that the model supports.
        mean, std: mean and standard deviation of red, green and blue (0 to 255) for the
            normalisation; empty for the values of the model.
    """

    name: str = "resnet50"
    pretrained: bool = True
    weights: Path | None = None
    strides: Annotated[tuple[Count, ...], Ascending(empty=False)] = (16, 32)
    channels: tuple[Count, ...] = ()
    stem: Natural = 0
    frozen_stages: Natural = 0
    checkpointing: bool = False
    image_size: Annotated[tuple[Count, ...], Length((0, 2))] = ()
    mean: Annotated[tuple[float, ...], Length((0, 3))] = ()
    std: Annotated[tuple[Positive, ...], Length((0, 3))] = ()

    def without_weights(self) -> "BackboneConfig":
        """Copy the settings without pretrained weights, for weights from another source."""
        return replace(self, pretrained=False, weights=None)

    def build(self) -> "Backbone":
        """Build the backbone; see :class:`Backbone` for the errors raised."""
        return Backbone(self)


class Backbone(nn.Module):
    """uint8 images to feature maps at the configured strides.

    Attributes:
        channels: channels of each returned map.
        strides: stride of each returned map, pixels per cell.
        report: report on the loaded weights; None for random initial weights.

    Raises:
        ConfigError: if the model name is unknown, the model lacks a stride, or ``checkpointing`` is
            set for a model without blocks to recompute.
        WeightsError: if pretrained weights cannot be fetched or a weights file does not fit.
    """

    mean: Tensor
    std: Tensor

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
        info = timm_body.feature_info(self.body)
        self.channels = tuple(info.channels())
        self.strides = tuple(info.reduction())
        self.channels_last = getattr(self.body, "output_fmt", "NCHW") == "NHWC"
        for name, default in timm_body.normalisation(self.body).items():
            value = torch.tensor(getattr(config, name) or default)
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

    def forward(
        self, images: UInt8[Tensor, "M 3 H W"] | Float[Tensor, "M 3 H W"]
    ) -> list[Float[Tensor, "M _ _ _"]]:
        """Compute the feature maps of RGB images, 0 to 255."""
        normalised = (images.to(self.mean.dtype) - self.mean) / self.std
        maps = self.body(normalised.contiguous(memory_format=torch.channels_last))
        return [m.permute(0, 3, 1, 2) for m in maps] if self.channels_last else maps

    def feature_sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """Exact (h, w) of each returned map for images of (H, W), without computing the maps.

        Raises:
            ConfigError: if the model does not support images of this size; suggests a size that it
                supports.
        """
        twin = _twin(self.config.without_weights())
        try:
            return twin._sizes(image_size)
        except NotImplementedError:  # an operator that does not support the meta device
            return copy.deepcopy(self).eval()._sizes(image_size)
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            sizes = [*_near_sizes(image_size), _default_size(twin.body)]
            near = next(filter(twin._supports, sizes), None)
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

    def _supports(self, image_size: tuple[int, int]) -> bool:
        try:
            return bool(self._sizes(image_size))
        except (AssertionError, RuntimeError, ValueError):
            return False


@lru_cache(maxsize=4)
def _twin(config: BackboneConfig) -> Backbone:
    """Backbone on the meta device, to compute sizes; without norms, which do not change them."""
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
    """Candidate sizes, nearest to ``image_size`` first: multiples of common patch sizes."""
    height, width = image_size
    sizes = {
        (max(round(height / step), 1) * step, max(round(width / step), 1) * step)
        for step in (4, 8, 14, 16, 32, 64, 128, 224, 256)
    }
    return sorted(
        sizes - {image_size}, key=lambda size: abs(size[0] - height) + abs(size[1] - width)
    )


def _default_size(body: nn.Module) -> tuple[int, int]:
    from bev.models.image import timm_body

    return timm_body.input_size(body)

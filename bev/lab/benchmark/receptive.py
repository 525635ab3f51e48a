"""Computed receptive field centres of a backbone's feature cells.

A cell at stride 16 covers 16 pixels, but its receptive field is not centred on them. A 3x3
convolution of stride 2 with one pixel of padding on each side has its taps at 2j - 1, 2j and
2j + 1: their centre is half a pixel left of the centre of the two pixels that cell j covers.
TensorFlow's "same" padding adds the pixel on the right only, at even sizes, and the centre is half
a pixel to the right. Over the stages this adds up to (stride - 1) / 2 to the left in ResNets, as
much to the right in EfficientNets with TensorFlow's weights, and to zero in networks that cut
images into patches.

These centres follow from the architecture. Training shifts them: at stride 16 of
tf_efficientnet_lite0 the energy of the gradient is centred 7.8 +- 1.0 pixels right of the cell's
centre with random weights (6 cells, noise), and 2.7 +- 0.4 with ImageNet weights (18 cells, real
photos), both at 256x704. The frustum therefore runs through the centres of cells, between the two
kinds of padding, and later layers learn the remaining offset.

The rules for one layer are those of Araujo et al., Computing Receptive Fields of Convolutional
Neural Networks (2019), section 3; here they are applied to a whole network while it runs on the
meta device. Where branches are merged, their centres are averaged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bev.models.image.backbone import BackboneConfig

Pair = tuple[float, float]

_FIELD = "receptive_field"  # attribute of tensors that holds their Field
_ARGUMENTS = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    "pad": ("input", "pad"),
}


@dataclass(frozen=True)
class Field:
    """Receptive field centres of the cells of a feature map.

    Attributes:
        first: centre (x, y) of cell (0, 0), pixels.
        step: distance (x, y) between the centres of adjacent cells, pixels.
    """

    first: Pair = (0.5, 0.5)
    step: Pair = (1.0, 1.0)

    def moved(self, start: Sequence[float], stride: Sequence[float]) -> "Field":
        """Field of a map that takes every ``stride``-th cell, from cell ``start`` on.

        All pairs are (x, y).
        """
        (x, y), (dx, dy) = self.first, self.step
        first = (x + dx * start[0], y + dy * start[1])
        return Field(first, (dx * stride[0], dy * stride[1]))


def fields(
    network: Callable[[Tensor], Sequence[Tensor]], image_size: tuple[int, int]
) -> list[Field | None]:
    """Fields of the output maps of a network on the meta device, for images of (H, W).

    None for a map that is computed with operations other than convolutions, pooling and padding
    (such as reshaping into patches).
    """
    image = torch.empty(1, 3, *image_size, device="meta")
    setattr(image, _FIELD, Field())
    with torch.no_grad(), _FieldTracking():
        return [_field_of(output) for output in network(image)]


def backbone_fields(config: BackboneConfig, image_size: tuple[int, int]) -> list[Field | None]:
    """Fields of each feature map of a backbone, for images of (H, W).

    The frustum runs through the centres of cells; the receptive fields of most convolutional
    networks are centred elsewhere, for which trained weights partly compensate.
    """
    with torch.device("meta"):
        twin = replace(config.without_weights(), checkpointing=False).build().eval()
    return fields(twin.body, image_size)


class _FieldTracking(TorchFunctionMode):
    """Attaches a ``Field`` to each tensor that is computed."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if isinstance(result, Tensor | tuple | list):
            field = _field(getattr(function, "__name__", ""), args, kwargs, result)
            for part in (result,) if isinstance(result, Tensor) else result:
                if field is not None and isinstance(part, Tensor):
                    setattr(part, _FIELD, field)
        return result


def _field_of(tensor: Tensor) -> Field | None:
    return getattr(tensor, _FIELD, None)


def _field(name: str, args: Sequence[Any], kwargs: dict, result: Any) -> Field | None:
    """The field of the result of a torch function."""
    if name in _ARGUMENTS:
        arguments = dict(zip(_ARGUMENTS[name], args, strict=False)) | kwargs
        field = _field_of(arguments["input"])
        return None if field is None else _after_layer(name, field, arguments)
    tensors = _tensors([*args, *kwargs.values()])
    inputs = [(a.shape, field) for a in tensors if (field := _field_of(a)) is not None]
    if not inputs:
        return None
    if name == "__getitem__":
        return _after_slices(inputs[0][1], args[1])
    # Merged maps have the size of the result; gates of a single cell have no position.
    if isinstance(result, Tensor):
        size = result.shape[-2:]
        inputs = [one for one in inputs if one[0][-2:] == size] or inputs[:1]
    merged = [field for _, field in inputs]
    if any(field.step != merged[0].step for field in merged):
        return None
    x, y = (sum(field.first[axis] for field in merged) / len(merged) for axis in (0, 1))
    return Field((x, y), merged[0].step)


def _after_layer(name: str, field: Field, arguments: dict) -> Field:
    """The field after a convolution, a pooling layer, or padding."""
    if name == "pad":
        left, _, top, _ = (*arguments["pad"], 0, 0, 0, 0)[:4]
        return field.moved((-left, -top), (1, 1))
    convolution = name == "conv2d"
    kernel = arguments["weight"].shape[-2:] if convolution else _pair(arguments["kernel_size"])
    stride = _pair(arguments.get("stride") or (1 if convolution else kernel))
    dilation = _pair(arguments.get("dilation", 1))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    padding = arguments.get("padding", 0)
    if isinstance(padding, str):
        padding = [r // 2 if padding == "same" else 0 for r in reach]
    start = [r / 2 - p for r, p in zip(reach, _pair(padding), strict=True)]
    return field.moved(start[::-1], stride[::-1])


def _after_slices(field: Field, index: Any) -> Field:
    """The field after slicing rows and columns of (M, C, h, w)."""
    index = index if isinstance(index, tuple) else (index,)
    if len(index) != 4 or not all(isinstance(i, slice) for i in index[2:]):
        return field
    starts, steps = [i.start or 0 for i in index[:1:-1]], [i.step or 1 for i in index[:1:-1]]
    return field.moved(starts, steps)


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    """All tensors in nested lists and tuples."""
    tensors = []
    for value in values:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            tensors += _tensors(value)
    return tensors


def _pair(value: Any) -> tuple:
    return tuple(value) if isinstance(value, Sequence | torch.Size) else (value, value)

"""Where a backbone's feature cells look: the middle of their receptive fields, by arithmetic.

A cell at stride 16 covers 16 pixels, but that is not where its receptive field is centred. A 3x3
convolution of stride 2 with a pixel of padding on each side has its taps at 2j - 1, 2j and 2j + 1:
their middle is half a pixel left of the two pixels that cell j covers. TensorFlow's "same" padding
has the pixel on the right only, at even sizes, and the middle lies half a pixel to the right. Stage
by stage this adds up to (stride - 1) / 2 to the left in ResNets, as much to the right in
EfficientNets with TensorFlow's weights, and to nothing where images are cut into patches.

That is where a network looks as it is built. Training shifts it: at stride 16 of
tf_efficientnet_lite0 the energy of the gradient lies 7.8 +- 1.0 pixels right of the cell's middle
with random weights (6 cells, noise), and 2.7 +- 0.4 with ImageNet's (18 cells, real photos), both
at 256x704. So the frustum keeps to the middle of cells, between the two kinds of padding, and the
layers behind learn the rest.

The rules for one layer are those of Araujo et al., Computing Receptive Fields of Convolutional
Neural Networks (2019), section 3; here they are followed through a whole network as it runs, on
tensors without memory. Where branches meet, the mean of their middles is taken.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from bev.models.image.backbone import BackboneConfig

Pair = tuple[float, float]

_ARGUMENTS = {
    "conv2d": ("input", "weight", "bias", "stride", "padding", "dilation"),
    "max_pool2d": ("input", "kernel_size", "stride", "padding", "dilation"),
    "avg_pool2d": ("input", "kernel_size", "stride", "padding"),
    "pad": ("input", "pad"),
}


@dataclass(frozen=True)
class Field:
    """Where the cells of a feature map look.

    Attributes:
        first: (x, y) of cell (0, 0), pixels.
        step: (x, y) from a cell to the next, pixels.
    """

    first: Pair = (0.5, 0.5)
    step: Pair = (1.0, 1.0)

    def moved(self, start: Sequence[float], stride: Sequence[float]) -> "Field":
        """Of a map whose first cell lies ``start`` cells further, and whose cells are ``stride``
        cells apart; all pairs are (x, y)."""
        first = tuple(f + s * by for f, s, by in zip(self.first, self.step, start, strict=True))
        return Field(first, tuple(s * by for s, by in zip(self.step, stride, strict=True)))


def fields(
    network: Callable[[Tensor], Sequence[Tensor]], image_size: tuple[int, int]
) -> list[Field | None]:
    """The fields of each map that a network on the meta device gives for images of (H, W).

    None for a map whose way from the image has steps that are none of convolutions, pools and
    padding (patches joined by reshaping, say).
    """
    image = torch.empty(1, 3, *image_size, device="meta")
    image.field = Field()
    with torch.no_grad(), _Follow():
        return [getattr(found, "field", None) for found in network(image)]


def backbone_fields(config: BackboneConfig, image_size: tuple[int, int]) -> list[Field | None]:
    """Where the cells of each map of a backbone look, in images of (H, W).

    The frustum looks through the middle of cells, which most convolutional networks do not do
    themselves by construction; trained weights make up for a part of it.
    """
    with torch.device("meta"):
        twin = replace(config.without_weights(), checkpointing=False).build().eval()
    return fields(twin.body, image_size)


class _Follow(TorchFunctionMode):
    """Keeps at each tensor, as ``.field``, where its cells look."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if isinstance(result, Tensor | tuple | list):
            field = _field(getattr(function, "__name__", ""), args, kwargs, result)
            for part in (result,) if isinstance(result, Tensor) else result:
                if field is not None and isinstance(part, Tensor):
                    part.field = field
        return result


def _field(name: str, args: Sequence[Any], kwargs: dict, result: Any) -> Field | None:
    if name in _ARGUMENTS:
        given = dict(zip(_ARGUMENTS[name], args, strict=False)) | kwargs
        field = getattr(given["input"], "field", None)
        return None if field is None else _after(name, field, given)
    inputs = [a for a in _tensors([*args, *kwargs.values()]) if hasattr(a, "field")]
    if not inputs:
        return None
    if name == "__getitem__":
        return _after_slices(inputs[0].field, args[1])
    # Joined maps have the result's size; a gate of one cell says nothing of where they look.
    if isinstance(result, Tensor):
        size = result.shape[-2:]
        inputs = [a for a in inputs if a.shape[-2:] == size] or inputs[:1]
    found = [a.field for a in inputs]
    if any(field.step != found[0].step for field in found):
        return None
    first = tuple(
        sum(values) / len(found) for values in zip(*(f.first for f in found), strict=True)
    )
    return Field(first, found[0].step)


def _after(name: str, field: Field, given: dict) -> Field:
    """The field behind a convolution, a pool, or padding."""
    if name == "pad":
        left, _, top, _ = (*given["pad"], 0, 0, 0, 0)[:4]
        return field.moved((-left, -top), (1, 1))
    kernel = given["weight"].shape[-2:] if name == "conv2d" else _pair(given["kernel_size"])
    stride = _pair(given.get("stride") or (1 if name == "conv2d" else kernel))
    reach = [d * (k - 1) for d, k in zip(_pair(given.get("dilation", 1)), kernel, strict=True)]
    padding = given.get("padding", 0)
    if isinstance(padding, str):
        padding = [r // 2 if padding == "same" else 0 for r in reach]
    start = [r / 2 - p for r, p in zip(reach, _pair(padding), strict=True)]
    return field.moved(start[::-1], stride[::-1])


def _after_slices(field: Field, index: Any) -> Field:
    """The field of rows and columns cut out of (M, C, h, w)."""
    index = index if isinstance(index, tuple) else (index,)
    if len(index) != 4 or not all(isinstance(i, slice) for i in index[2:]):
        return field
    starts, steps = [i.start or 0 for i in index[:1:-1]], [i.step or 1 for i in index[:1:-1]]
    return field.moved(starts, steps)


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += _tensors(value)
    return found


def _pair(value: Any) -> tuple:
    return tuple(value) if isinstance(value, Sequence | torch.Size) else (value, value)

"""Photometric augmentation: any transform of torchvision that leaves every pixel where it is.

Pixels are moved by this project's own augmentation alone, whose matrices the calibration follows. A
transform that moves them too would contradict the calibration, and is found by what it does to
bounding boxes.
"""

import copy
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from bev.data.augmentation import TransformCall
from bev.errors import ConfigError

_DRAWS = 4  # of each part, when looking for pixels that move
_MOVING = {"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"}  # torchvision's names
_AUTOMATIC = (v2.AutoAugment, v2.AugMix, v2.RandAugment, v2.TrivialAugmentWide)


class PhotometricRandAugment(v2.RandAugment):
    """RandAugment (Cubuk et al. 2020) with the nine of its fourteen operations that move no pixel.

    Arguments are those of torchvision's: ``num_ops`` operations drawn with replacement, all at
    ``magnitude`` of ``num_magnitude_bins``.
    """

    _AUGMENTATION_SPACE = {
        name: operation
        for name, operation in v2.RandAugment._AUGMENTATION_SPACE.items()
        if name not in _MOVING
    }


@lru_cache(maxsize=8)
def photometric_transform(call: TransformCall) -> v2.Transform:
    """Make the transform.

    Raises:
        ConfigError: where it moves pixels, changes the size or type of an image, cannot be applied
            to an image alone, or refuses its arguments.
    """
    transform = call.build()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some say that they pass boxes through: that is the point
        torch.random.default_generator.manual_seed(0)
        for part in _parts(transform):
            reason = _fault(part)
            if reason:
                raise ConfigError(f"{call} cannot augment images: {type(part).__name__} {reason}.")
    return transform


def change_colours(
    images: UInt8[Tensor, "N 3 H W"], call: TransformCall, seeds: Sequence[int]
) -> UInt8[Tensor, "N 3 H W"]:
    """Photometric augmentation, each image by its own of the N seeds."""
    if call.target is v2.Identity:
        return images
    transform = photometric_transform(call)
    changed = []
    with torch.random.fork_rng(devices=[]):
        for image, seed in zip(images, seeds, strict=True):
            torch.random.default_generator.manual_seed(seed)
            changed.append(transform(image))
    return torch.stack(changed)


def _parts(transform: v2.Transform) -> Iterator[v2.Transform]:
    """The transform, or those that a container (Compose, RandomApply, ...) is made of."""
    parts = [*getattr(transform, "transforms", ()), *transform.children()]
    if not parts:
        yield transform
    for part in parts:
        yield from _parts(part)


def _fault(part: v2.Transform) -> str:
    """Why images cannot be augmented by this; empty where they can."""
    automatic = isinstance(part, _AUTOMATIC)
    if automatic and _MOVING & _operations(part):
        return (
            "moves pixels, which the calibration would not follow; take PhotometricRandAugment of"
            " bev.data.images.photometric"
        )
    image = torch.arange(3 * 64 * 96).remainder(251).to(torch.uint8).view(3, 64, 96)
    corners = torch.tensor([[8.0, 8.0, 24.0, 20.0], [40.0, 30.0, 63.0, 50.0]])
    boxes = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(64, 96))
    part = copy.deepcopy(part)
    if isinstance(getattr(part, "p", None), float):
        part.p = 1.0
    for _ in range(_DRAWS):
        try:
            changed = part(image)
            moved = boxes if automatic else part(tv_tensors.Image(image), boxes)[1]
        except Exception as error:  # whatever a transform of anyone's raises
            reason = str(error).strip().splitlines() or [type(error).__name__]
            return f"fails on an image of bytes ({reason[0].rstrip('.')})"
        if not _same(moved, boxes):
            return (
                "moves pixels, which the calibration would not follow; scale, crop, flip and"
                " rotation are fields of ImageAugmentation"
            )
        if not isinstance(changed, Tensor):
            return f"makes a {type(changed).__name__} of an image of bytes"
        if changed.shape != image.shape or changed.dtype != image.dtype:
            return f"makes {changed.dtype} of shape {tuple(changed.shape)} of an image of bytes"
    return ""


def _operations(part: v2.Transform) -> set[str]:
    if isinstance(part, v2.AutoAugment):
        return _MOVING  # its policies rotate, shear and translate
    spaces: list[dict[str, Any]] = [
        getattr(part, name, {}) for name in ("_AUGMENTATION_SPACE", "_PARTIAL_AUGMENTATION_SPACE")
    ]
    return {name for space in spaces for name in space}


def _same(moved: tv_tensors.BoundingBoxes, boxes: tv_tensors.BoundingBoxes) -> bool:
    return moved.canvas_size == boxes.canvas_size and torch.equal(moved, boxes)

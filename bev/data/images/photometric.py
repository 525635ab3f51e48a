"""Photometric augmentation by any torchvision transform that moves no pixels.

Only the project's own image augmentation moves pixels, because the calibration is updated by its
matrices. A transform that moves pixels would contradict the calibration; it is detected by applying
it to bounding boxes.
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

_DRAWS = 4  # random draws of each part in the check for moved pixels
_MOVING = {"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"}  # torchvision's names
_AUTOMATIC = (v2.AutoAugment, v2.AugMix, v2.RandAugment, v2.TrivialAugmentWide)


class PhotometricRandAugment(v2.RandAugment):
    """RandAugment (Cubuk et al. 2020) with the nine of its fourteen operations that move no pixels.

    Arguments are those of torchvision's RandAugment: ``num_ops`` operations drawn with
    replacement, all at ``magnitude`` of ``num_magnitude_bins``.
    """

    _AUGMENTATION_SPACE = {
        name: operation
        for name, operation in v2.RandAugment._AUGMENTATION_SPACE.items()
        if name not in _MOVING
    }


@lru_cache(maxsize=8)
def photometric_transform(call: TransformCall) -> v2.Transform:
    """Create the transform and check that it suits images with a calibration.

    Raises:
        ConfigError: if the transform moves pixels, changes the size or type of an image, cannot be
            applied to a single image, or rejects its arguments.
    """
    transform = call.build()
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some transforms warn that they leave boxes unchanged
        torch.random.default_generator.manual_seed(0)
        for part in _parts(transform):
            reason = _fault(part)
            if reason:
                raise ConfigError(f"{call} cannot augment images: {type(part).__name__} {reason}.")
    return transform


def change_colours(
    images: UInt8[Tensor, "N 3 H W"], call: TransformCall, seeds: Sequence[int]
) -> UInt8[Tensor, "N 3 H W"]:
    """Apply photometric augmentation to each of N images with its own seed."""
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
    """Iterate over the leaf transforms of a container (Compose, RandomApply, ...)."""
    parts = [*getattr(transform, "transforms", ()), *transform.children()]
    if not parts:
        yield transform
    for part in parts:
        yield from _parts(part)


def _fault(part: v2.Transform) -> str:
    """The reason why a transform cannot augment images, or an empty string."""
    automatic = isinstance(part, _AUTOMATIC)
    if automatic and _MOVING & _operations(part):
        return (
            "moves pixels, but the calibration would not change; use PhotometricRandAugment of"
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
        except Exception as error:  # a user's transform may raise anything
            reason = str(error).strip().splitlines() or [type(error).__name__]
            return f"fails on a uint8 image ({reason[0].rstrip('.')})"
        if not _same(moved, boxes):
            return (
                "moves pixels, but the calibration would not change; for scale, crop, flip and"
                " rotation set the fields of ImageAugmentation"
            )
        if not isinstance(changed, Tensor):
            return f"returns a {type(changed).__name__} for a uint8 image"
        if changed.shape != image.shape or changed.dtype != image.dtype:
            return f"returns {changed.dtype} of shape {tuple(changed.shape)} for a uint8 image"
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

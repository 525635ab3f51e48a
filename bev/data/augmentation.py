"""Augmentation as matrices: drawn at random in training, fixed in evaluation.

Ranges are those of BEVDet (Huang et al. 2021, section 3.3) by default. Each draw gives one
``image_from_original`` per camera and one ``bev_from_ego`` per sample; images, calibration, points
and boxes all follow these.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bev.calls import Call, flag
from bev.data.images.grid_mask import GridMask
from bev.errors import ConfigError
from bev.geometry import bev_transform, image_affine


class TransformCall(Call):
    """An image transform."""

    home, family = "torchvision.transforms.v2", "Transform"
    own = ("bev.data.images.photometric",)
    what = "a transform of torchvision.transforms.v2"


# What a config file gives; the config keeps a call.
Photometric = Annotated[TransformCall | type | partial, flag(TransformCall)]


@dataclass(frozen=True)
class ImageAugmentation:
    """Random scale, crop, flip, rotation, colours and masks of each camera's image.

    Attributes:
        scale: the resize factor (network's width over image width) changes by a factor drawn from
            this range added to it, as (low, high); (0, 0) is off.
        stretch: rows are resized by so much more than columns, in evaluation too: the depth of flat
            ground, and of what stands on it, is read off rows.
        crop_top: the crop window's top stands at the resized image's bottom minus the window's
            height, moved up by a fraction of the window drawn from this range.
        random_left: draw the crop's left edge; else the window is centred.
        flip: "off"; "independent" mirrors each image with probability 0.5 (as published);
            "mirror" mirrors, with probability 0.5, all images and the BEV together.
        rotation: degrees, drawn from plus or minus this.
        photometric: a transform class of torchvision (``v2``) that moves no pixel, or
            ``functools.partial`` of one, e.g. ``partial(v2.ColorJitter, 0.2, 0.2)``; see
            ``bev.data.images.photometric``. ``v2.Identity`` is off.
        grid_mask: squares that are hidden from the images.
    """

    scale: tuple[float, float] = (-0.06, 0.11)
    stretch: float = 1.0
    crop_top: tuple[float, float] = (0.0, 0.0)
    random_left: bool = True
    flip: Literal["off", "independent", "mirror"] = "independent"
    rotation: float = 5.4
    photometric: Photometric = TransformCall("torchvision.transforms.v2.Identity")
    grid_mask: GridMask = GridMask()

    def __post_init__(self) -> None:
        call = TransformCall.of(self.photometric, "image_augmentation.photometric")
        object.__setattr__(self, "photometric", call)
        if not 0 < self.stretch < math.inf:
            raise ConfigError(
                f"data.image_augmentation.stretch = {self.stretch} must be above 0; 1 is off."
            )

    @classmethod
    def off(cls, scale: float = 0.0) -> "ImageAugmentation":
        """No chance: scale to the network's width (or more), keep the bottom, centre."""
        return cls(scale=(scale, scale), random_left=False, flip="off", rotation=0.0)

    def still(self, scale: float = 0.0) -> "ImageAugmentation":
        """What evaluation does: ``off`` at the middle of these crops (Lift-Splat-Shoot, BEVDet).

        Stretched as these images are.
        """
        middle = sum(self.crop_top) / 2
        return replace(self.off(scale), crop_top=(middle, middle), stretch=self.stretch)


@dataclass(frozen=True)
class BevAugmentation:
    """Random rotation (degrees, plus or minus), scale range and flips of the BEV plane."""

    rotation: float = 22.5
    scale: tuple[float, float] = (0.95, 1.05)
    flip_x: bool = True
    flip_y: bool = True

    @classmethod
    def off(cls) -> "BevAugmentation":
        """No change."""
        return cls(rotation=0.0, scale=(1.0, 1.0), flip_x=False, flip_y=False)


@dataclass(frozen=True)
class Augmentation:
    """One sample's draw.

    Attributes:
        image_from_original: one (3, 3) float64 matrix per camera.
        bev_from_ego: (4, 4) float32.
        colour_seed: for what changes an image where it is: colours and masks.
    """

    image_from_original: list[Float[Tensor, "3 3"]]
    bev_from_ego: Float[Tensor, "4 4"]
    colour_seed: int


def draw(
    image: ImageAugmentation,
    bev: BevAugmentation,
    sizes: Sequence[tuple[int, int]],
    image_size: tuple[int, int],
    rng: np.random.Generator,
) -> Augmentation:
    """Draw a sample's augmentation.

    Args:
        sizes: (height, width) of each camera's original image, pixels.
        image_size: (H, W) of the network's images.
        rng: the sample's own generator; the same state gives the same draw.
    """
    mirror = image.flip == "mirror" and rng.random() < 0.5
    matrices = []
    for size in sizes:
        flip = mirror or (image.flip == "independent" and rng.random() < 0.5)
        matrices.append(_image_matrix(image, size, image_size, flip, rng))
    matrix = bev_transform(
        rotation=math.radians(rng.uniform(-bev.rotation, bev.rotation)),
        scale=rng.uniform(*bev.scale),
        flip_x=bev.flip_x and rng.random() < 0.5,
        flip_y=bev.flip_y and rng.random() < 0.5,
    )
    if mirror:
        matrix = bev_transform(flip_y=True) @ matrix
    return Augmentation(matrices, matrix, int(rng.integers(2**31)))


def _image_matrix(
    image: ImageAugmentation,
    size: tuple[int, int],
    image_size: tuple[int, int],
    flip: bool,
    rng: np.random.Generator,
) -> Float[Tensor, "3 3"]:
    """Scale to the network's width (times a random factor), crop from the bottom, flip, rotate."""
    height, width = image_size
    # The published offsets add to a scale of 704/1600 = 0.44; as part of it they suit any size.
    scale = (width / size[1]) * (1 + rng.uniform(*image.scale) / 0.44)
    spare = scale * size[1] - width
    left = spare * (rng.random() if image.random_left and spare > 0 else 0.5)
    top = scale * image.stretch * size[0] - height * (1 + rng.uniform(*image.crop_top))
    rotation = math.radians(rng.uniform(-image.rotation, image.rotation))
    return image_affine(image_size, scale, (top, left), flip, rotation, image.stretch)

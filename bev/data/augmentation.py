"""Image and BEV augmentation as matrices: random in training, fixed in evaluation.

The default ranges are those of BEVDet (Huang et al. 2021, section 3.3). Each draw yields one
``image_from_original`` per camera and one ``bev_from_ego`` per sample, which are applied to images,
calibrations, points and boxes alike.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from torch import Tensor

from bev.bounds import Ascending, Bound, Degrees, NonNegative, Positive, check_bounds
from bev.calls import Call, flag
from bev.data.frame import CameraFrame
from bev.data.images.corruptions.augmentation import CorruptionAugmentation
from bev.data.images.crop import HORIZON, horizon_row, window_row
from bev.data.images.grid_mask import GridMask
from bev.geometry import bev_transform, image_affine

RANGE = Ascending(strict=False)
# Offset of a resize factor in units of which -0.44 is a factor of 0, see ImageAugmentation.scale.
ScaleOffset = Annotated[float, Bound(above=-0.44)]


class TransformCall(Call):
    """An image transform."""

    home, family = "torchvision.transforms.v2", "Transform"
    own = ("bev.data.images.photometric",)
    what = "a transform of torchvision.transforms.v2"


# Types that a config file may contain; the config stores a TransformCall.
Photometric = Annotated[TransformCall | type | partial, flag(TransformCall)]


@dataclass(frozen=True)
class ImageAugmentation:
    """Settings of the image augmentation: scale, crop, flip, rotation, colours and masks.

    Attributes:
        scale: (low, high) range of a random offset of the resize factor (width of the network's
            image over width of the original), published for a factor of 0.44; for other factors
            the offset changes in proportion. (0, 0) is off.
        stretch: factor by which rows are resized more than columns, also in evaluation: the depth
            of flat ground, and of objects on it, is inferred from image rows.
        crop_top: range of a random fraction of the crop window's height, by which the window is
            moved up from the bottom of the resized image.
        horizon: fraction of the crop window's height above the horizon, for cameras whose windows
            at the bottom would have less than 0.6 of that; nuScenes' have more. 0 leaves all
            windows at the bottom. See ``bev.data.images.crop``.
        random_left: draw the left edge of the crop window; otherwise the window is centred.
        narrow_left: leave an image that is resized to less than the network's width at the left
            edge, as published, also in evaluation; otherwise it is centred.
        flip: "off"; "independent" flips each image with probability 0.5 (as published); "mirror"
            flips all images and the BEV together with probability 0.5.
        rotation: maximum rotation in degrees; the angle is drawn from [-rotation, rotation].
        photometric: torchvision transform class (``v2``) that moves no pixels, or a
            ``functools.partial`` of one, e.g. ``partial(v2.ColorJitter, 0.2, 0.2)``; see
            ``bev.data.images.photometric``. ``v2.Identity`` is off.
        grid_mask: settings of GridMask.
        corruption: random corruption of whole images, before they are cropped.
    """

    scale: Annotated[tuple[ScaleOffset, ScaleOffset], RANGE] = (-0.06, 0.11)
    stretch: Positive = 1.0
    crop_top: Annotated[tuple[NonNegative, NonNegative], RANGE] = (0.0, 0.0)
    horizon: Annotated[float, Bound(least=0, below=1)] = HORIZON
    random_left: bool = True
    narrow_left: bool = False
    flip: Literal["off", "independent", "mirror"] = "independent"
    rotation: Degrees = 5.4
    photometric: Photometric = TransformCall("torchvision.transforms.v2.Identity")
    grid_mask: GridMask = GridMask()
    corruption: CorruptionAugmentation = CorruptionAugmentation()

    def __post_init__(self) -> None:
        call = TransformCall.of(self.photometric, "image_augmentation.photometric")
        object.__setattr__(self, "photometric", call)
        check_bounds(self, "data.image_augmentation")

    @property
    def transform(self) -> TransformCall:
        """The photometric transform as a call."""
        return TransformCall.of(self.photometric, "image_augmentation.photometric")

    @classmethod
    def off(cls, scale: float = 0.0) -> "ImageAugmentation":
        """No randomness: resize to the network's width (enlarged by ``scale``), crop."""
        return cls(scale=(scale, scale), random_left=False, flip="off", rotation=0.0)

    def still(self, scale: float = 0.0) -> "ImageAugmentation":
        """The deterministic counterpart for evaluation (as in Lift-Splat-Shoot and BEVDet).

        The crop is the middle of the range of random crops; ``stretch``, ``horizon`` and
        ``narrow_left`` are kept.
        """
        return replace(
            self.off(scale),
            crop_top=(self.raised, self.raised),
            stretch=self.stretch,
            horizon=self.horizon,
            narrow_left=self.narrow_left,
        )

    @property
    def raised(self) -> float:
        """Middle of the range of random crops, a fraction of the crop window's height."""
        return sum(self.crop_top) / 2

    def horizon_of(self, camera: CameraFrame) -> float:
        """Row of a camera's horizon; NaN if it is unknown, or if no window depends on it."""
        return horizon_row(camera) if self.horizon else math.nan


@dataclass(frozen=True)
class BevAugmentation:
    """Settings of the BEV augmentation: rotation, scale and flips of the BEV plane.

    Attributes:
        rotation: maximum rotation in degrees; the angle is drawn from [-rotation, rotation].
        scale: (low, high) range of the scale factor.
        flip_x, flip_y: flip x, and y, with probability 0.5 each.
    """

    rotation: Degrees = 22.5
    scale: Annotated[tuple[Positive, Positive], RANGE] = (0.95, 1.05)
    flip_x: bool = True
    flip_y: bool = True

    @classmethod
    def off(cls) -> "BevAugmentation":
        """No augmentation: the identity."""
        return cls(rotation=0.0, scale=(1.0, 1.0), flip_x=False, flip_y=False)


@dataclass(frozen=True)
class Augmentation:
    """Augmentation drawn for one sample.

    Attributes:
        image_from_original: one (3, 3) float64 matrix per camera.
        bev_from_ego: (4, 4) float32.
        colour_seed: seed of the changes that move no pixels: colours and masks.
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
    horizons: Sequence[float] = (),
) -> Augmentation:
    """Draw the augmentation of one sample.

    Args:
        image: settings of the image augmentation.
        bev: settings of the BEV augmentation.
        sizes: (height, width) of each camera's original image, pixels.
        image_size: (H, W) of the network's images, pixels.
        rng: generator of the sample; the same state gives the same augmentation.
        horizons: row of the horizon in each camera's original image, see
            :meth:`ImageAugmentation.horizon_of`; unknown by default.
    """
    horizons = horizons or [math.nan] * len(sizes)
    mirror = image.flip == "mirror" and rng.random() < 0.5
    matrices = []
    for size, horizon in zip(sizes, horizons, strict=True):
        flip = mirror or (image.flip == "independent" and rng.random() < 0.5)
        matrices.append(_image_matrix(image, size, horizon, image_size, flip, rng))
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
    horizon: float,
    image_size: tuple[int, int],
    flip: bool,
    rng: np.random.Generator,
) -> Float[Tensor, "3 3"]:
    """Draw the matrix of one image: resize, crop, flip, rotation."""
    height, width = image_size
    # Published offsets are added to a scale of 704/1600 = 0.44; relative to it they fit any size.
    usual = width / size[1]
    scale = usual * (1 + rng.uniform(*image.scale) / 0.44)
    spare = scale * size[1] - width
    left = spare * (rng.random() if image.random_left and spare > 0 else 0.5)
    left = max(left, 0.0) if image.narrow_left else left
    heights = height / (scale * image.stretch), height / (usual * image.stretch)
    row = window_row(size[0], horizon, image.horizon, image.raised, *heights)
    top = scale * image.stretch * row - height * (1 + rng.uniform(*image.crop_top))
    rotation = math.radians(rng.uniform(-image.rotation, image.rotation))
    return image_affine(image_size, scale, (top, left), flip, rotation, image.stretch)

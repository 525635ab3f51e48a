"""Photometric transforms of torchvision: repeatable, and none of them moves a pixel."""

from functools import partial

import pytest
import torch
from torchvision.transforms import v2

from bev.data.augmentation import ImageAugmentation, TransformCall
from bev.data.images.photometric import (
    PhotometricRandAugment,
    change_colours,
    photometric_transform,
)
from bev.errors import ConfigError


def _adds_noise_to_bytes() -> bool:
    """False for versions of torchvision whose GaussianNoise takes floats alone."""
    try:
        v2.GaussianNoise()(torch.zeros(3, 2, 2, dtype=torch.uint8))
    except ValueError:
        return False
    return True


ALLOWED = [
    v2.Identity,
    partial(v2.ColorJitter, 0.4, 0.4, 0.4, 0.1),
    partial(v2.RandomPhotometricDistort, p=1.0),
    partial(v2.GaussianBlur, kernel_size=5),
    v2.GaussianNoise,
    partial(v2.RandomGrayscale, p=0.3),
    partial(v2.RandomAdjustSharpness, 2.0),
    v2.RandomAutocontrast,
    v2.RandomEqualize,
    v2.RandomInvert,
    partial(v2.RandomPosterize, bits=4),
    partial(v2.RandomSolarize, threshold=128.0),
    v2.RandomChannelPermutation,
    partial(v2.JPEG, quality=(30, 90)),
    v2.RandomErasing,
    PhotometricRandAugment,
    partial(v2.Compose, [partial(v2.ColorJitter, 0.4), v2.RandomAutocontrast]),
    partial(v2.RandomApply, [partial(v2.ColorJitter, hue=0.1)], p=0.3),
    partial(v2.RandomChoice, [partial(v2.ColorJitter, 0.4), PhotometricRandAugment]),
]
REFUSED = {
    "moves pixels.*fields of ImageAugmentation": [
        v2.RandomHorizontalFlip,
        partial(v2.RandomHorizontalFlip, p=0.001),
        partial(v2.RandomVerticalFlip),
        partial(v2.RandomAffine, degrees=1),
        partial(v2.RandomAffine, degrees=0, translate=(0.05, 0.0)),
        partial(v2.RandomRotation, 5),
        partial(v2.RandomResizedCrop, (64, 96)),
        partial(v2.RandomCrop, (64, 96), padding=4),
        partial(v2.Resize, (32, 48)),
        partial(v2.CenterCrop, 32),
        v2.RandomPerspective,
        v2.ElasticTransform,
        v2.RandomZoomOut,
        partial(v2.Compose, [v2.RandomAutocontrast, v2.RandomHorizontalFlip]),
        partial(v2.RandomApply, [partial(v2.RandomRotation, 5)], p=0.01),
        partial(v2.RandomOrder, [partial(v2.RandomChoice, [v2.RandomVerticalFlip])]),
    ],
    "use PhotometricRandAugment": [
        v2.RandAugment,
        v2.AutoAugment,
        v2.TrivialAugmentWide,
        v2.AugMix,
        partial(v2.Compose, [partial(v2.RandAugment, 1, 3)]),
    ],
    "fails on a uint8 image|returns a Image": [
        partial(v2.Normalize, (0.5,), (0.2,)),
        partial(v2.MixUp, num_classes=3),
        v2.ToPILImage,
    ],
    "cannot be created": [
        v2.Lambda,
        v2.RandomPosterize,
        partial(v2.RandomGrayscale, p="often"),
        partial(v2.ColorJitter, brightness=-1),
    ],
}  # fmt: skip


def call(value):
    return ImageAugmentation(photometric=value).photometric


@pytest.mark.parametrize("value", ALLOWED, ids=lambda v: str(TransformCall.of(v, "x")))
def test_photometric_transforms_repeat_with_their_seed(value):
    """The global random state is unchanged, and each image is transformed independently."""
    if value is v2.GaussianNoise and not _adds_noise_to_bytes():
        pytest.skip("GaussianNoise of this torchvision takes floats alone")
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 255, (3, 3, 16, 24), dtype=torch.uint8, generator=generator)
    state = torch.random.get_rng_state()
    seeds = [5, 6, 7]
    first = change_colours(images, call(value), seeds)
    torch.rand(3)
    again = change_colours(images, call(value), seeds)
    assert torch.equal(first, again) and first.dtype == torch.uint8
    backwards = change_colours(images.flip(0), call(value), seeds[::-1])
    assert torch.equal(backwards.flip(0), first)
    torch.random.set_rng_state(state)
    change_colours(images, call(value), seeds)
    assert torch.equal(torch.random.get_rng_state(), state)
    draws = [change_colours(images, call(value), [seed] * 3) for seed in range(20)]
    assert any(not torch.equal(drawn, images) for drawn in draws) == (value is not v2.Identity)


@pytest.mark.parametrize(
    ("message", "value"),
    [(message, value) for message, values in REFUSED.items() for value in values],
    ids=lambda v: v if isinstance(v, str) else str(TransformCall.of(v, "x")),
)
def test_transforms_that_contradict_the_calibration_are_refused(message, value):
    with pytest.raises(ConfigError, match=message):
        photometric_transform(call(value))


class MovesOnlyTheImage(v2.Transform):
    """A user-defined transform that flips images and boxes alike."""

    def transform(self, inpt, params):
        return v2.functional.horizontal_flip(inpt)


def test_user_defined_transforms_are_checked_too():
    with pytest.raises(ConfigError, match="MovesOnlyTheImage moves pixels"):
        photometric_transform(call(MovesOnlyTheImage))


def test_photometric_randaugment_has_the_operations_that_move_no_pixel():
    assert set(PhotometricRandAugment._AUGMENTATION_SPACE) == {
        "Identity", "Brightness", "Color", "Contrast", "Sharpness", "Posterize", "Solarize",
        "AutoContrast", "Equalize",
    }  # fmt: skip
    # Nothing moves: a row of equal pixels stays a row of equal pixels whatever is drawn, except
    # for three at each border, as each sharpening leaves the outermost pixels unchanged.
    image = torch.arange(0, 240, 10).to(torch.uint8).view(1, 24, 1).expand(3, 24, 16).clone()
    inside = (..., slice(3, -3))
    augment = PhotometricRandAugment(num_ops=3, magnitude=20)
    torch.manual_seed(0)
    changed = torch.stack([augment(image) for _ in range(60)])[inside]
    assert (changed == changed[..., :1]).all() and (changed != image[inside]).any()
    torch.manual_seed(0)
    moving = v2.RandAugment(num_ops=3, magnitude=20)
    moved = torch.stack([moving(image) for _ in range(60)])[inside]
    assert (moved != moved[..., :1]).any()


def test_a_transform_object_is_refused_with_the_correct_notation():
    with pytest.raises(ConfigError, match=r"photometric: .*partial\(ColorJitter, \.\.\.\)"):
        TransformCall.of(v2.ColorJitter(0.4), "image_augmentation.photometric")

"""Augmentation: each kind alone, against none."""

from dataclasses import replace

from lss_synthetic import config as base

from bev.config import Experiment
from bev.data.augmentation import BevAugmentation
from bev.lab.ablation import Study

IMAGE, BEV = "--data.image-augmentation", "--data.bev-augmentation"


def none(config: Experiment) -> Experiment:
    still, off = config.data.image_augmentation.still(), BevAugmentation.off()
    data = replace(config.data, image_augmentation=still, bev_augmentation=off)
    return replace(config, data=data)


study = Study(
    base,
    {
        "none": none,
        "scale and crop": (none, f"{IMAGE}.scale -0.06 0.11 {IMAGE}.random-left"),
        "rotated images": (none, f"{IMAGE}.rotation 5.4"),
        "flips, independent": (none, f"{IMAGE}.flip independent"),
        "flips, consistent": (none, f"{IMAGE}.flip mirror"),
        "colours": (none, f"{IMAGE}.photometric 'ColorJitter(0.2, 0.2, 0.2)'"),
        "RandAugment": (none, f"{IMAGE}.photometric 'PhotometricRandAugment(2, 9)'"),
        "GridMask": (none, f"{IMAGE}.grid-mask.probability 0.7 {IMAGE}.grid-mask.period 48 112"),
        "BEV rotation and scale": (none, f"{BEV}.rotation 22.5 {BEV}.scale 0.95 1.05"),
        "BEV flips": (none, f"{BEV}.flip-x {BEV}.flip-y"),
    },
)

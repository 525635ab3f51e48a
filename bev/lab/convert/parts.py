"""Conversion rules shared by published families: BGR images, blocks, the center head, grids."""

import torch
from torch import Tensor

from bev.config import Experiment
from bev.errors import ConfigError
from bev.geometry import feature_pixels
from bev.lab.convert.rename import Rule, Shape
from bev.models import LiftSplatConfig

STRIDE = 16  # stride of the image features in all families

# Published names of the head's outputs by our names.
_OUTPUTS = {
    "heatmap": "heatmap",
    "offset": "reg",
    "height": "height",
    "size": "dim",
    "heading": "rot",
    "velocity": "vel",
}


def reverse_colours(weight: Tensor) -> Tensor:
    """Convert the weights of a first convolution on BGR images to RGB images."""
    return weight.flip(1)


def transposed(weight: Tensor) -> Tensor:
    """Convert the weights of a transposed 1x1 convolution of stride 1 to those of a convolution."""
    return weight.transpose(0, 1)


def transposed_shape(shape: Shape) -> tuple[Shape, ...]:
    """Shape of the argument of :func:`transposed`, given the shape of its result."""
    return ((shape[1], shape[0], *shape[2:]),)


def basic_block(ours: str, theirs: str) -> list[Rule]:
    """Rules for the convolutions and norms of our ``BasicBlock``.

    Args:
        ours: regular expression of our name of the block, with at most two groups.
        theirs: published name, which may refer to the groups.
    """
    groups = ours.count("(")
    number, leaf = rf"\{groups + 1}", rf"\{groups + 2}"
    return [
        Rule(rf"{ours}\.conv(\d)\.0\.(weight)", (rf"{theirs}.conv{number}.{leaf}",)),
        Rule(rf"{ours}\.conv(\d)\.1\.(\w+)", (rf"{theirs}.bn{number}.{leaf}",)),
    ]


def center_head(theirs: str, lidar_boxes: bool) -> list[Rule]:
    """Rules for the center head.

    Args:
        theirs: published name of the head.
        lidar_boxes: True for outputs as in mmdet3d before 1.0, whose boxes have sizes (width,
            length, height) and a yaw r = -yaw - pi / 2: sin(yaw) = -cos(r), cos(yaw) = -sin(r).
    """
    rules = [
        Rule(r"head\.shared\.0\.weight", (f"{theirs}.shared_conv.conv.weight",)),
        Rule(r"head\.shared\.1\.(\w+)", (rf"{theirs}.shared_conv.bn.\1",)),
    ]
    changes = {}
    if lidar_boxes:
        changes = {"heading": lambda t: -t.flip(0), "size": lambda t: t[[1, 0, 2]]}
    for ours, name in _OUTPUTS.items():
        branch, task = rf"head\.tasks\.(\d)\.{ours}", rf"{theirs}.task_heads.\1.{name}"
        rules += [
            Rule(rf"{branch}\.0\.0\.weight", (f"{task}.0.conv.weight",)),
            Rule(rf"{branch}\.0\.1\.(\w+)", (rf"{task}.0.bn.\2",)),
            Rule(rf"{branch}\.1\.(\w+)", (rf"{task}.1.\2",), changes.get(ours, lambda t: t)),
        ]
    return rules


def grid_tensors(config: Experiment) -> dict[str, Tensor]:
    """``step``, ``center`` (of the first cell) and ``size`` of the grid, each along x, y and z."""
    axes = torch.tensor([config.model.grid.x, config.model.grid.y, config.model.grid.z])
    return {
        "step": axes[:, 2],
        "center": axes[:, 0] + axes[:, 2] / 2,
        "size": torch.tensor(config.model.grid.shape[::-1]).float(),
    }


def frustum_tensor(config: Experiment) -> Tensor:
    """(D, h, w, 3) pixel x, pixel y and depth of the points of the published frustum."""
    if not isinstance(config.model.view, LiftSplatConfig):
        raise ConfigError(f"model.view is {config.model.view}; a frustum needs a LiftSplatConfig.")
    height, width = config.data.image_size
    features = (height // STRIDE, width // STRIDE)
    pixels = feature_pixels((height, width), features, STRIDE, corners=True)
    depths = config.model.view.depth.edges()[:-1].view(-1, 1, 1, 1).expand(-1, *features, 1)
    return torch.cat([pixels.expand(len(depths), *features, 2), depths], dim=-1)

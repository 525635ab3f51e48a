"""Flip test-time augmentation of the center head: flips outputs back and averages them."""

import torch
from jaxtyping import Float
from torch import Tensor

from bev.models.flip_tta import averaged_logits
from bev.models.heads.center.targets import TaskOutput


def flipped_back(output: TaskOutput) -> TaskOutput:
    """Flip the output maps of a flipped batch back."""
    maps = {name: getattr(output, name).flip(2) for name in output._fields}
    x, y = maps["offset"].split(1, dim=1)
    maps["offset"] = torch.cat([x, 1 - y], dim=1)
    sine, cosine = maps["heading"].split(1, dim=1)
    maps["heading"] = torch.cat([-sine, cosine], dim=1)
    x, y = maps["velocity"].split(1, dim=1)
    maps["velocity"] = torch.cat([x, -y], dim=1)
    maps["direction"] = flipped_directions(maps["direction"])
    return TaskOutput(**maps)


def averaged(first: TaskOutput, second: TaskOutput) -> TaskOutput:
    """Average probabilities, box parameters, and logits of attributes and direction bins."""
    maps = {name: (getattr(first, name) + getattr(second, name)) / 2 for name in first._fields}
    maps["heatmap"] = averaged_logits(first.heatmap, second.heatmap)
    if maps["direction"].shape[1]:
        # Headings are relative to the centre of their bin: if only one of the two outputs has the
        # bin of the averaged logits, use the heading of that output.
        chosen = maps["direction"].argmax(dim=1, keepdim=True)
        in_first, in_second = (
            output.direction.argmax(dim=1, keepdim=True) == chosen for output in (first, second)
        )
        for only, output in ((in_first & ~in_second, first), (in_second & ~in_first, second)):
            maps["heading"] = torch.where(only, output.heading, maps["heading"])
    return TaskOutput(**maps)


def flipped_directions(logits: Float[Tensor, "B S Y X"]) -> Float[Tensor, "B S Y X"]:
    """Logits of the direction bins after a flip in y, which maps yaw to -yaw."""
    return logits.roll(-1, dims=1).flip(1)

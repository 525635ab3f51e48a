"""Outputs of the center head of a scene and of its mirror image, averaged."""

import torch
from jaxtyping import Float
from torch import Tensor

from bev.models.flip_tta import averaged_logits
from bev.models.heads.center.targets import TaskOutput

_Y = 1  # of offset and velocity, (x, y)
_SINE = 0  # of heading, (sine, cosine)


def flipped_back(output: TaskOutput) -> TaskOutput:
    """The maps of the mirror image, as maps of the scene itself."""
    maps = {name: getattr(output, name).flip(2) for name in output._fields}
    for name in ("offset", "heading", "velocity"):
        maps[name] = maps[name].clone()
    maps["offset"][:, _Y] = 1 - maps["offset"][:, _Y]
    maps["heading"][:, _SINE] = -maps["heading"][:, _SINE]
    maps["velocity"][:, _Y] = -maps["velocity"][:, _Y]
    maps["direction"] = flipped_directions(maps["direction"])
    return TaskOutput(**maps)


def averaged(first: TaskOutput, second: TaskOutput) -> TaskOutput:
    """The mean of probabilities, of box parameters and of the logits of attributes and direction bins."""
    maps = {name: (getattr(first, name) + getattr(second, name)) / 2 for name in first._fields}
    maps["heatmap"] = averaged_logits(first.heatmap, second.heatmap)
    if maps["direction"].shape[1]:
        # Headings are relative to the middle of a bin: where one has the mean's bin and one
        # has not, the other's heading does not count.
        chosen = maps["direction"].argmax(dim=1, keepdim=True)
        own, other = (o.direction.argmax(dim=1, keepdim=True) == chosen for o in (first, second))
        for only, output in ((own & ~other, first), (other & ~own, second)):
            maps["heading"] = torch.where(only, output.heading, maps["heading"])
    return TaskOutput(**maps)


def flipped_directions(logits: Float[Tensor, "B S Y X"]) -> Float[Tensor, "B S Y X"]:
    """Logits of the direction bins where left and right (y) are exchanged: yaw becomes -yaw."""
    return logits.roll(-1, dims=1).flip(1)

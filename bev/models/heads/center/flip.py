"""Outputs of the center head of a scene and of its mirror image, averaged."""

import torch
from jaxtyping import Float
from torch import Tensor

from bev.models.flip_tta import averaged_logits
from bev.models.heads.center.targets import GroupOutput

_Y = 1  # of offset and velocity, (x, y)
_SINE = 0  # of heading, (sine, cosine)


def mirrored_back(output: GroupOutput) -> GroupOutput:
    """The maps of the mirror image, as maps of the scene itself."""
    maps = {name: getattr(output, name).flip(2) for name in output._fields}
    for name in ("offset", "heading", "velocity"):
        maps[name] = maps[name].clone()
    maps["offset"][:, _Y] = 1 - maps["offset"][:, _Y]
    maps["heading"][:, _SINE] = -maps["heading"][:, _SINE]
    maps["velocity"][:, _Y] = -maps["velocity"][:, _Y]
    maps["sector"] = mirrored_sectors(maps["sector"])
    return GroupOutput(**maps)


def averaged(first: GroupOutput, second: GroupOutput) -> GroupOutput:
    """The mean of probabilities, of box parameters and of the logits of attributes and sectors."""
    maps = {name: (getattr(first, name) + getattr(second, name)) / 2 for name in first._fields}
    maps["heatmap"] = averaged_logits(first.heatmap, second.heatmap)
    if maps["sector"].shape[1]:
        # Headings are relative to the middle of a sector: where one has the mean's sector and one
        # has not, the other's heading does not count.
        chosen = maps["sector"].argmax(dim=1, keepdim=True)
        own, other = (o.sector.argmax(dim=1, keepdim=True) == chosen for o in (first, second))
        for only, output in ((own & ~other, first), (other & ~own, second)):
            maps["heading"] = torch.where(only, output.heading, maps["heading"])
    return GroupOutput(**maps)


def mirrored_sectors(logits: Float[Tensor, "B S Y X"]) -> Float[Tensor, "B S Y X"]:
    """Logits of the sectors where left and right (y) are exchanged: yaw becomes -yaw."""
    return logits.roll(-1, dims=1).flip(1)

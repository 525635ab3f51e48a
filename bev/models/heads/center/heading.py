"""Headings told in two parts: which sector of the circle, and the turn from its middle.

Seen from afar, a car may be heading one of several ways. L1 asks for the median of sine and of
cosine apart: at even odds any value between two opposite answers costs the same, and of several it
may lie where none is. A choice among sectors settles on one of them. After Mousavian et al., 3D
Bounding Box Estimation Using Deep Learning and Geometry (2017), section 3.2; theirs overlap and
have a turn each, here they do not overlap and share one, as sine and cosine.

Sector 0 is centred at yaw 0 (+x) and the others follow counter-clockwise, 2 pi / S wide each: with
a multiple of four, what drives along and across the car's own road is far from borders.
"""

import math

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def sector_of(yaw: Float[Tensor, " M"], sectors: int) -> Int[Tensor, " M"]:
    """The sector that a yaw (radians) lies in."""
    return (yaw * (sectors / (2 * math.pi))).round().long() % sectors


def sector_angle(sector: Int[Tensor, " M"], sectors: int) -> Float[Tensor, " M"]:
    """The yaw of a sector's middle, radians in [0, 2 pi)."""
    return sector * (2 * math.pi / sectors)


def sector_loss(logits: Float[Tensor, "P S"], target: Int[Tensor, " P"]) -> Float[Tensor, ""]:
    """Cross-entropy of the S sectors, averaged over the boxes."""
    loss = F.cross_entropy(logits.float(), target, reduction="sum")
    return loss / max(len(target), 1)


def mirrored_sectors(logits: Float[Tensor, "B S Y X"]) -> Float[Tensor, "B S Y X"]:
    """Logits of the sectors where left and right (y) are exchanged: yaw becomes -yaw."""
    return logits.roll(-1, dims=1).flip(1)

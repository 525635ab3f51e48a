"""What the centre head says of one group of classes, map by map."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

# Channels of the regression tensor, in this order: see bev.models.heads.center.targets.
REGRESSION = {"offset": 2, "height": 1, "size": 3, "heading": 2, "velocity": 2}


class GroupOutput(NamedTuple):
    """What the head says of one group of K classes.

    Attributes:
        heatmap: (B, K, Y, X) logits.
        regression: (B, 10, Y, X), channels as in ``bev.models.heads.center.targets``.
        attribute: (B, A, Y, X) logits of all attributes; A = 0 where they are not told.
        sector: (B, S, Y, X) logits of the sectors of headings, see
            ``bev.models.heads.center.heading``; S = 0 where there is but one.
    """

    heatmap: Float[Tensor, "B K Y X"]
    regression: Float[Tensor, "B 10 Y X"]
    attribute: Float[Tensor, "B A Y X"]
    sector: Float[Tensor, "B S Y X"]

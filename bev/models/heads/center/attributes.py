"""Attributes that the network predicts, one of those that a box's class can have.

Published BEV detectors go by the speed alone. One image shows no speed, but it shows whether a
cycle has a rider and whether a car stands in a lane or beside it; FCOS3D (Wang et al. 2021) has a
branch of its own for attributes, as here.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from bev.data.labels import LabelSpace


def attribute_loss(logits: Float[Tensor, "P A"], target: Int[Tensor, " P"]) -> Float[Tensor, ""]:
    """Cross-entropy of the A attributes, averaged over the boxes whose attribute is known.

    Args:
        target: the attribute, -1 where a box has none.
    """
    loss = F.cross_entropy(logits.float(), target, ignore_index=-1, reduction="sum")
    return loss / (target >= 0).sum().clamp(min=1)


def best_attribute(
    logits: Float[Tensor, "M A"], label: Int[Tensor, " M"], labels: LabelSpace
) -> Int[Tensor, " M"]:
    """The likeliest attribute of each box among those of its class; -1 for classes without any."""
    possible = _possible(labels).to(label.device)[label]
    best = logits.masked_fill(~possible, -torch.inf).argmax(dim=1)
    return torch.where(possible.any(dim=1), best, -1)


def _possible(labels: LabelSpace) -> Bool[Tensor, "classes A"]:
    return torch.tensor(
        [[name in one.attributes for name in labels.attributes] for one in labels.classes]
    )

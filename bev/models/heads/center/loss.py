"""The centre head's loss: a heatmap loss, and L1 on the box parameters.

L1 asks for the median. Most objects stand still, so a network that cannot yet tell what moves is
held at velocity zero and learns nothing from the rest. Smooth L1 (Girshick, Fast R-CNN, 2015,
equation 3, with its corner at ``velocity_beta``) asks for the mean instead until errors are small.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from bev.models.heads.center.targets import CenterTargets
from bev.models.heads.losses import HeatmapLoss


def center_loss(
    heatmap: Float[Tensor, "B K Y X"],
    regression: Float[Tensor, "B 10 Y X"],
    targets: CenterTargets,
    heatmap_loss: HeatmapLoss,
    velocity_weight: float,
    velocity_beta: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Heatmap loss and regression loss of one group, each divided by its number of boxes.

    Unknown (NaN) targets add nothing to the regression loss.
    """
    centres = (targets.heatmap == 1).sum().clamp(min=1)
    seen = heatmap_loss(heatmap, targets.heatmap) / centres

    predicted = at_cells(regression, targets).float()
    known = torch.isfinite(targets.regression)
    wanted = torch.where(known, targets.regression, predicted.detach())
    error = (predicted - wanted).abs()
    velocity = F.smooth_l1_loss(
        predicted[:, 8:], wanted[:, 8:], reduction="none", beta=velocity_beta
    )
    error = torch.cat([error[:, :8], velocity], dim=1)
    weight = error.new_ones(10)
    weight[8:] = velocity_weight
    l1 = (error * weight).sum() / max(len(error), 1)
    return seen, l1


def at_cells(maps: Float[Tensor, "B C Y X"], targets: CenterTargets) -> Float[Tensor, "P C"]:
    """What maps say at the centres' cells."""
    sample, row, column = targets.index.unbind(1)
    return maps.permute(0, 2, 3, 1)[sample, row, column]

"""The centre head's loss: a heatmap loss, and L1 on the box parameters."""

import torch
from jaxtyping import Float
from torch import Tensor

from bev.models.center_targets import CenterTargets
from bev.models.losses import HeatmapLoss


def center_loss(
    heatmap: Float[Tensor, "B K Y X"],
    regression: Float[Tensor, "B 10 Y X"],
    targets: CenterTargets,
    velocity_weight: float,
    heatmap_loss: HeatmapLoss,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Heatmap loss and regression loss of one group, each divided by its number of positives.

    Unknown (NaN) targets add nothing to the regression loss.
    """
    centres = (targets.heatmap == 1).sum().clamp(min=1)
    seen = heatmap_loss(heatmap, targets.heatmap) / centres

    sample, row, column = targets.index.unbind(1)
    predicted = regression.permute(0, 2, 3, 1)[sample, row, column].float()
    known = torch.isfinite(targets.regression)
    error = (predicted - torch.nan_to_num(targets.regression)).abs() * known
    weight = error.new_ones(10)
    weight[8:] = velocity_weight
    l1 = (error * weight).sum() / max(len(sample), 1)
    return seen, l1

"""The centre head's loss: Gaussian focal loss on heatmaps, L1 on the box parameters."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from bev.models.center_targets import CenterTargets


def gaussian_focal_loss(
    logits: Float[Tensor, "B K Y X"], target: Float[Tensor, "B K Y X"]
) -> Float[Tensor, ""]:
    """Summed focal loss of heatmap logits, with fewer penalties near centres.

    Law and Deng, CornerNet (2018), equation 1, with alpha 2 and beta 4; from logits, so that it
    stays finite without clamping probabilities.
    """
    logits = logits.float()
    probability = logits.sigmoid()
    positive = -F.logsigmoid(logits) * (1 - probability) ** 2
    negative = -F.logsigmoid(-logits) * probability**2 * (1 - target) ** 4
    return torch.where(target == 1, positive, negative).sum()


def center_loss(
    heatmap: Float[Tensor, "B K Y X"],
    regression: Float[Tensor, "B 10 Y X"],
    targets: CenterTargets,
    velocity_weight: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Heatmap loss and regression loss of one group, each divided by its number of positives.

    Unknown (NaN) targets add nothing to the regression loss.
    """
    centres = (targets.heatmap == 1).sum().clamp(min=1)
    focal = gaussian_focal_loss(heatmap, targets.heatmap) / centres

    sample, row, column = targets.index.unbind(1)
    predicted = regression.permute(0, 2, 3, 1)[sample, row, column].float()
    known = torch.isfinite(targets.regression)
    error = (predicted - torch.nan_to_num(targets.regression)).abs() * known
    weight = error.new_ones(10)
    weight[8:] = velocity_weight
    l1 = (error * weight).sum() / max(len(sample), 1)
    return focal, l1

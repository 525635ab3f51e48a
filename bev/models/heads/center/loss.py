"""The center head's losses: of the heatmap, L1 on the box parameters, and of choices among classes.

L1 asks for the median. Most objects stand still, so a network that cannot yet tell what moves is
held at velocity zero and learns nothing from the rest. Smooth L1 (Girshick, Fast R-CNN, 2015,
equation 3, with its corner at ``velocity_beta``) asks for the mean instead until errors are small.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from bev.models.heads.center.targets import CenterTargets, TaskOutput
from bev.models.heads.losses import HeatmapLoss


def center_loss(
    output: TaskOutput,
    targets: CenterTargets,
    heatmap_loss: HeatmapLoss,
    velocity_weight: float,
    velocity_beta: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Heatmap loss and regression loss of one task, each divided by its number of boxes.

    Unknown (NaN) targets add nothing to the regression loss.
    """
    centres = (targets.heatmap == 1).sum().clamp(min=1)
    seen = heatmap_loss(output.heatmap, targets.heatmap) / centres

    errors = []
    for name, target in targets.regression.items():
        predicted = at_cells(getattr(output, name), targets).float()
        wanted = torch.where(torch.isfinite(target), target, predicted.detach())
        if name == "velocity":
            error = F.smooth_l1_loss(predicted, wanted, reduction="none", beta=velocity_beta)
            error = error * velocity_weight
        else:
            error = (predicted - wanted).abs()
        errors.append(error)
    error = torch.cat(errors, dim=1)
    return seen, error.sum() / max(len(error), 1)


def at_cells(maps: Float[Tensor, "B C Y X"], targets: CenterTargets) -> Float[Tensor, "P C"]:
    """Values of maps at the centres' cells."""
    sample, row, column = targets.index.unbind(1)
    return maps.permute(0, 2, 3, 1)[sample, row, column]


def attribute_loss(logits: Float[Tensor, "P A"], target: Int[Tensor, " P"]) -> Float[Tensor, ""]:
    """Cross-entropy of the A attributes, averaged over the boxes whose attribute is known.

    Args:
        target: the attribute, -1 where a box has none.
    """
    loss = F.cross_entropy(logits.float(), target, ignore_index=-1, reduction="sum")
    return loss / (target >= 0).sum().clamp(min=1)


def direction_loss(logits: Float[Tensor, "P S"], target: Int[Tensor, " P"]) -> Float[Tensor, ""]:
    """Cross-entropy of the S direction bins, averaged over the boxes."""
    loss = F.cross_entropy(logits.float(), target, reduction="sum")
    return loss / max(len(target), 1)

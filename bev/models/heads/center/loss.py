"""Losses of the center head: heatmap, box parameters (L1), attributes and direction bins.

L1 is minimised by the median. As most objects are static, a network that cannot yet distinguish
moving objects predicts velocity zero and does not learn from the others. For small errors, smooth
L1 (Girshick, Fast R-CNN, 2015, equation 3, quadratic below ``velocity_beta``) is minimised by the
mean instead.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from bev.models.heads.center.targets import CenterTargets, TaskOutput
from bev.models.heads.losses import HeatmapLoss, mean_over_processes

_LEAST = 1e-4  # as published; the loss of no boxes is 0


class Normalizers(NamedTuple):
    """Numbers that the losses of one task are divided by.

    With several processes these are means over the processes, as published, so that every box has
    the same weight, however unequally boxes are distributed.

    Attributes:
        centres: cells that are the centre of a box, at least 1.
        boxes: boxes inside the grid, at least 1e-4.
        attributes: boxes with a known attribute, at least 1e-4.
    """

    centres: Float[Tensor, ""]
    boxes: Float[Tensor, ""]
    attributes: Float[Tensor, ""]


def normalizers(targets: Sequence[CenterTargets]) -> list[Normalizers]:
    """Normalizers of each task.

    All processes must call this function for the same tasks: it waits for them.
    """
    counts = torch.stack([
        torch.stack([
            (task.heatmap == 1).sum(),
            task.cell.new_full((), len(task.cell)),
            (task.attribute >= 0).sum(),
        ])
        for task in targets
    ])  # fmt: skip
    means = mean_over_processes(counts.float())
    return [
        Normalizers(centres.clamp(min=1), *others.clamp(min=_LEAST).unbind())
        for centres, others in zip(means[:, 0], means[:, 1:], strict=True)
    ]


def center_loss(
    output: TaskOutput,
    targets: CenterTargets,
    divisors: Normalizers,
    heatmap_loss: HeatmapLoss,
    velocity_weight: float,
    velocity_beta: float,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Heatmap loss and regression loss of one task, each divided by its number of boxes.

    Unknown (NaN) targets do not contribute to the regression loss.
    """
    heatmap = heatmap_loss(output.heatmap, targets.heatmap) / divisors.centres

    # Once for all maps: on a GPU, each gather's backward pass sorts its indices.
    maps = torch.cat([getattr(output, name) for name in targets.regression], dim=1)
    predicted = at_cells(maps, targets).float()
    target = torch.cat(list(targets.regression.values()), dim=1)
    known = torch.where(torch.isfinite(target), target, predicted.detach())
    widths = [values.shape[1] for values in targets.regression.values()]
    errors = dict(zip(targets.regression, (predicted - known).split(widths, dim=1), strict=True))
    velocity = errors.pop("velocity")
    velocity = F.smooth_l1_loss(
        velocity, torch.zeros_like(velocity), reduction="none", beta=velocity_beta
    )
    error = torch.cat([*(value.abs() for value in errors.values()), velocity * velocity_weight], 1)
    return heatmap, error.sum() / divisors.boxes


def at_cells(maps: Float[Tensor, "B C Y X"], targets: CenterTargets) -> Float[Tensor, "P C"]:
    """Gather values of maps at the cells of the box centres."""
    sample, row, column = targets.cell.unbind(1)
    return maps.permute(0, 2, 3, 1)[sample, row, column]


def label_loss(
    logits: Float[Tensor, "P D"], target: Int[Tensor, " P"], divisor: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Cross-entropy over the D attributes or direction bins, summed and divided by ``divisor``.

    Args:
        logits: logits of each box.
        target: attribute or direction bin of each box; boxes of -1, for none, do not contribute.
        divisor: number of boxes, see :class:`Normalizers`.
    """
    return F.cross_entropy(logits.float(), target, ignore_index=-1, reduction="sum") / divisor

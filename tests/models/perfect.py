"""Output of a center head that equals its targets."""

import torch

from bev.data.nuscenes.classes import ATTRIBUTES
from bev.models.heads.center.targets import CenterTargets, TaskOutput


def perfect_output(targets: CenterTargets, direction_bins: int = 1) -> TaskOutput:
    """Output that equals the targets, with attributes and, if several, direction bins."""
    batch, _, rows, columns = targets.heatmap.shape
    sample, row, column = targets.cell.unbind(1)
    regression = {}
    for name, values in targets.regression.items():
        regression[name] = torch.zeros(batch, values.shape[1], rows, columns)
        regression[name][sample, :, row, column] = values
    attribute = torch.zeros(batch, len(ATTRIBUTES), rows, columns)
    attribute[sample, targets.attribute.clamp(min=0), row, column] = 1.0
    direction = torch.zeros(batch, direction_bins, rows, columns)
    direction[sample, targets.direction, row, column] = 1.0
    heatmap = torch.logit(targets.heatmap.clamp(1e-6, 1 - 1e-6))
    direction = direction if direction_bins > 1 else direction[:, :0]
    return TaskOutput(heatmap=heatmap, **regression, attribute=attribute, direction=direction)

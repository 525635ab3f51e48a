"""A custom head: occupied BEV cells, learnt from lidar (``--import`` this file to evaluate)."""

from dataclasses import dataclass, replace

import torch
from lss_synthetic import config as base

from bev.errors import ConfigError
from bev.evaluation.base import evaluator
from bev.evaluation.sample_sums import SampleSums
from bev.geometry import apply_transform
from bev.models import DetectorConfig, Head, HeadConfig
from bev.models.flip_tta import averaged_logits
from bev.visualization.overlays import Overlay, SegmentationMaps, overlay


@dataclass(frozen=True)
class OccupancyConfig(HeadConfig):
    weight: float = 1.0
    positive_weight: float = 1.0  # of occupied cells in the loss; few cells are
    z: tuple[float, float] = (0.3, 3.0)  # height range of the lidar points, metres

    def check_data(self, model, data):
        if not data.lidar:
            raise ConfigError("Occupancy is learnt from lidar points: set --data.lidar.")

    def build(self, spec):
        return OccupancyHead(self, spec)

    def ground_truth(self, batch, grid):  # (B, 1, Y, X) cells that contain a lidar point
        occupied = torch.zeros(len(batch), 1, *grid.shape[1:], device=batch.bev_from_ego.device)
        slab = replace(grid, z=(*self.z, self.z[1] - self.z[0]))
        for sample, points in enumerate(batch.lidar):
            cell, inside = slab.locate(apply_transform(batch.bev_from_ego[sample], points))
            occupied[sample, 0, cell[inside, 1], cell[inside, 2]] = 1
        return occupied > 0


class OccupancyHead(Head):
    def __init__(self, config, spec):
        super().__init__()
        self.config, self.grid = config, spec.grid
        self.logits = torch.nn.Conv2d(spec.channels, 1, 3, padding=1)

    def forward(self, features):
        return torch.nn.functional.interpolate(self.logits(features.bev), self.grid.shape[1:])

    def loss(self, output, batch):
        target = self.config.ground_truth(batch, self.grid).float()
        logits, positive = output.float(), target.new_tensor(self.config.positive_weight)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, target, pos_weight=positive
        )
        return {"occupancy": self.config.weight * loss}

    def averaged(self, output, flipped):
        return averaged_logits(output, flipped.flip(2))


@evaluator.register(OccupancyConfig)
class OccupancyIou(SampleSums):
    headlines = ("IoU_occupied",)

    def measure(self, decoded, batch):
        predicted, occupied = decoded > 0, self.config.ground_truth(batch, self.model.grid)
        return torch.stack([predicted & occupied, predicted | occupied], dim=1).sum((2, 3, 4))

    def figures(self, sums):
        return {"IoU_occupied": float(sums[0] / max(sums[1], 1))}


@overlay.register(OccupancyConfig)
def draw_occupancy(config, decoded, batch, model):
    predicted = None if decoded is None else decoded[0].cpu() > 0
    occupied, colors = config.ground_truth(batch, model.grid)[0].cpu(), [(90, 190, 255)]
    return Overlay(None, SegmentationMaps(model.grid, ["occupied"], colors, predicted, occupied))


@dataclass(frozen=True)
class WithOccupancy(DetectorConfig):
    occupancy: OccupancyConfig = OccupancyConfig()


config = replace(base, model=WithOccupancy(**vars(base.model)))

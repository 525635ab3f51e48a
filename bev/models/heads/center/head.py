"""CenterPoint's head: class heatmaps, and box parameters at every cell, by groups of classes.

After Yin et al., Center-based 3D Object Detection and Tracking (2021), section 4, with BEVDet's
class groups. Targets, loss and decoding stand beside this file (``center_targets``,
``center_loss``, ``center_decode``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D
from bev.models.heads.center.attributes import attribute_loss
from bev.models.heads.center.decode import DecodeConfig, decode
from bev.models.heads.center.heading import sector_loss
from bev.models.heads.center.loss import at_cells, center_loss
from bev.models.heads.center.targets import REGRESSION, GroupOutput, center_targets
from bev.models.heads.losses import HeatmapLoss
from bev.models.layers import conv_bn_relu

CLASS_GROUPS = (
    ("car",),
    ("truck", "construction_vehicle"),
    ("bus", "trailer"),
    ("barrier",),
    ("motorcycle", "bicycle"),
    ("pedestrian", "traffic_cone"),
)


@dataclass(frozen=True)
class CenterHeadConfig:
    """Settings of :class:`CenterHead`.

    Attributes:
        groups: the classes, in groups that share a branch and suppress one another; none for no
            detection.
        shared: width of the convolution that all groups share.
        branch: width of the hidden convolution of each output; 0 reads outputs straight from the
            shared features, by a 1x1 convolution.
        prior: probability that the heatmaps start with; 0.1 as published (bias -2.19).
        overlap: least overlap that a shifted box may have while still counting as near, sets the
            radius of the Gaussian targets.
        min_radius: least radius of a Gaussian, cells.
        heatmap_loss: kind of the heatmap loss.
        heatmap_weight: weight of the heatmap loss.
        regression_weight: weight of the L1 loss.
        velocity_weight: weight of the two velocity channels within the L1 loss.
        velocity_beta: metres a second; smaller errors of velocity count by their square, see
            ``bev.models.heads.center.loss``. 0 is L1, as published.
        attribute_weight: weight of the loss of attributes, see
            ``bev.models.heads.center.attributes``. 0, as published, goes by the speed.
        sectors: into how many the circle of headings is cut, see
            ``bev.models.heads.center.heading``; 1, as published, regresses sine and cosine alone.
        sector_weight: weight of the loss of sectors.
        decode: settings of decoding and non-maximum suppression.
    """

    groups: tuple[tuple[str, ...], ...] = CLASS_GROUPS
    shared: int = 64
    branch: int = 64
    prior: float = 0.1
    overlap: float = 0.1
    min_radius: int = 2
    heatmap_loss: HeatmapLoss = HeatmapLoss()
    heatmap_weight: float = 1.0
    regression_weight: float = 0.25
    velocity_weight: float = 0.2
    velocity_beta: float = 0.0
    attribute_weight: float = 0.0
    sectors: int = 1
    sector_weight: float = 0.2
    decode: DecodeConfig = DecodeConfig()

    def __post_init__(self) -> None:
        if self.velocity_beta < 0 or self.attribute_weight < 0 or not 0 < self.prior < 1:
            raise ConfigError(
                f"model.head.velocity_beta = {self.velocity_beta} and model.head.attribute_weight ="
                f" {self.attribute_weight} must be at least 0, and model.head.prior = {self.prior}"
                " inside (0, 1)."
            )
        if self.sectors < 1 or self.sector_weight <= 0:
            raise ConfigError(
                f"model.head.sectors = {self.sectors} must be at least 1, and"
                f" model.head.sector_weight = {self.sector_weight} more than 0."
            )

    def build(self, in_channels: int, grid: BevGrid) -> "CenterHead":
        """Build for BEV features of this width.

        Raises:
            ConfigError: for a class that is unknown or stands twice.
        """
        names = [name for group in self.groups for name in group]
        for name in names:
            if name not in CLASSES or names.count(name) > 1:
                why = "unknown" if name not in CLASSES else "named twice"
                raise ConfigError(f"CenterHead groups: class {name!r} is {why}; known: {CLASSES}.")
        return CenterHead(self, in_channels, grid)


class CenterHead(nn.Module):
    """BEV features to a :class:`GroupOutput` per group."""

    def __init__(self, config: CenterHeadConfig, in_channels: int, grid: BevGrid) -> None:
        super().__init__()
        self.config, self.grid = config, grid
        self.labels = [[CLASSES.index(name) for name in group] for group in config.groups]
        self.shared = conv_bn_relu(in_channels, config.shared)
        self.told = {
            "attribute": len(ATTRIBUTES) if config.attribute_weight > 0 else 0,
            "sector": config.sectors if config.sectors > 1 else 0,
        }
        self.groups = nn.ModuleList(
            nn.ModuleDict(
                {
                    name: _branch(config.shared, config.branch, width)
                    for name, width in {"heatmap": len(group), **REGRESSION, **self.told}.items()
                    if width
                }
            )
            for group in config.groups
        )
        for group in self.groups:
            # Few cells hold an object (Lin et al. 2017, Focal Loss, section 3.3).
            nn.init.constant_(
                group["heatmap"][-1].bias, math.log(config.prior / (1 - config.prior))
            )

    def forward(self, bev: Float[Tensor, "B C Y X"]) -> list[GroupOutput]:
        shared = self.shared(bev)
        rest = [sum(REGRESSION.values()), *self.told.values()]
        return [
            GroupOutput(*_maps(group, shared).split([len(labels), *rest], dim=1))
            for group, labels in zip(self.groups, self.labels, strict=True)
        ]

    def loss(self, outputs: list[GroupOutput], truth: Sequence[Boxes3D]) -> dict[str, Tensor]:
        """Weighted loss terms, summed over groups.

        They are ``heatmap``, ``regression`` and, where they are told, ``attribute`` and ``sector``.
        """
        groups = [
            self._group_loss(output, labels, truth)
            for output, labels in zip(outputs, self.labels, strict=True)
        ]
        return {name: sum(terms[name] for terms in groups) for name in groups[0]}

    def _group_loss(
        self, output: GroupOutput, labels: Sequence[int], truth: Sequence[Boxes3D]
    ) -> dict[str, Tensor]:
        config = self.config
        targets = center_targets(
            truth, labels, self.grid, config.overlap, config.min_radius, config.sectors
        )
        heatmap, regression = center_loss(
            output.heatmap,
            output.regression,
            targets,
            config.heatmap_loss,
            config.velocity_weight,
            config.velocity_beta,
        )
        terms = {
            "heatmap": config.heatmap_weight * heatmap,
            "regression": config.regression_weight * regression,
        }
        if self.told["attribute"]:
            logits = at_cells(output.attribute, targets)
            terms["attribute"] = config.attribute_weight * attribute_loss(logits, targets.attribute)
        if self.told["sector"]:
            logits = at_cells(output.sector, targets)
            terms["sector"] = config.sector_weight * sector_loss(logits, targets.sector)
        return terms

    @torch.no_grad()
    def boxes(self, outputs: list[GroupOutput]) -> list[Boxes3D]:
        """Decoded boxes of each sample, best first, in the BEV frame, on the CPU."""
        per_group = [
            decode(output, labels, self.grid, self.config.decode)
            for output, labels in zip(outputs, self.labels, strict=True)
        ]
        merged = [Boxes3D.cat(list(parts)) for parts in zip(*per_group, strict=True)]
        limit = self.config.decode.max_boxes
        return [boxes[boxes.score.argsort(descending=True)[:limit]] for boxes in merged]


def _maps(group: nn.ModuleDict, shared: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B M Y X"]:
    """The maps of a group's branches; those read straight are one convolution, in one pass."""
    branches = list(group.values())
    if any(len(branch) > 1 for branch in branches):
        return torch.cat([branch(shared) for branch in branches], dim=1)
    weight = torch.cat([branch[0].weight for branch in branches])
    return F.conv2d(shared, weight, torch.cat([branch[0].bias for branch in branches]))


def _branch(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    if hidden == 0:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1))
    return nn.Sequential(conv_bn_relu(inputs, hidden), nn.Conv2d(hidden, outputs, 3, padding=1))

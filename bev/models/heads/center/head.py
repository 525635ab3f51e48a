"""CenterPoint's head: class heatmaps, and box parameters at every cell, by tasks (groups of classes).

After Yin et al., Center-based 3D Object Detection and Tracking (2021), section 4, with BEVDet's
groups of classes as tasks. Targets, loss and decoding stand beside this file.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.data.batch import Batch
from bev.data.labels import LabelSpace
from bev.errors import ConfigError
from bev.geometry import Boxes3D
from bev.models.heads.base import Features, FeatureSpec, Head, HeadConfig, Note
from bev.models.heads.center.adaptation import adapted_tasks
from bev.models.heads.center.decode import DecodeConfig, decode
from bev.models.heads.center.flip import averaged, flipped_back
from bev.models.heads.center.loss import at_cells, attribute_loss, center_loss, direction_loss
from bev.models.heads.center.targets import REGRESSION, TaskOutput, center_targets
from bev.models.heads.losses import HeatmapLoss
from bev.models.layers import conv_bn_relu

if TYPE_CHECKING:
    from bev.data.settings import DataConfig
    from bev.models.detector import DetectorConfig


@dataclass(frozen=True)
class CenterHeadConfig(HeadConfig):
    """Settings of :class:`CenterHead`.

    Attributes:
        tasks: the classes, in groups that share a branch and suppress one another; by default the
            tasks of the label space. Empty for no detection.
        shared: width of the convolution that all tasks share.
        branch: width of the hidden convolution of each output; 0 reads outputs straight from the
            shared features, by a 1x1 convolution.
        prior: probability that the heatmaps start with; 0.1 as published (bias -2.19).
        gaussian_overlap: least overlap that a shifted box may have while still counting as near, sets the
            radius of the Gaussian targets.
        min_radius: least radius of a Gaussian, cells.
        heatmap_loss: kind of the heatmap loss.
        heatmap_weight: weight of the heatmap loss.
        regression_weight: weight of the L1 loss.
        velocity_weight: weight of the two velocity channels within the L1 loss.
        velocity_beta: metres a second; smaller errors of velocity count by their square, see
            ``bev.models.heads.center.loss``. 0 is L1, as published.
        attribute_weight: weight of the loss of attributes, predicted by a branch of their own as in
            FCOS3D (Wang et al. 2021): an image shows whether a cycle has a rider. 0, as published,
            goes by the speed.
        direction_bins: into how many the circle of headings is cut, see
            ``bev.models.heads.center.targets``; 1, as published, regresses sine and cosine alone.
        direction_weight: weight of the loss of direction_bins.
        decode: settings of decoding and non-maximum suppression.
    """

    tasks: tuple[tuple[str, ...], ...] | None = None
    shared: int = 64
    branch: int = 64
    prior: float = 0.1
    gaussian_overlap: float = 0.1
    min_radius: int = 2
    heatmap_loss: HeatmapLoss = HeatmapLoss()
    heatmap_weight: float = 1.0
    regression_weight: float = 0.25
    velocity_weight: float = 0.2
    velocity_beta: float = 0.0
    attribute_weight: float = 0.0
    direction_bins: int = 1
    direction_weight: float = 0.2
    decode: DecodeConfig = DecodeConfig()

    def __post_init__(self) -> None:
        if self.velocity_beta < 0 or self.attribute_weight < 0 or not 0 < self.prior < 1:
            raise ConfigError(
                f"model.head.velocity_beta = {self.velocity_beta} and model.head.attribute_weight ="
                f" {self.attribute_weight} must be at least 0, and model.head.prior = {self.prior}"
                " inside (0, 1)."
            )
        if self.direction_bins < 1 or self.direction_weight <= 0:
            raise ConfigError(
                f"model.head.direction_bins = {self.direction_bins} must be at least 1, and"
                f" model.head.direction_weight = {self.direction_weight} more than 0."
            )

    @property
    def active(self) -> bool:
        return self.tasks != ()

    def resolved_tasks(self, labels: LabelSpace) -> tuple[tuple[str, ...], ...]:
        """The tasks (groups of classes) of a label space.

        Raises:
            ConfigError: for a class that is unknown or stands twice.
        """
        tasks = labels.tasks if self.tasks is None else self.tasks
        labels.check("model.head.tasks", tuple(n for task in tasks for n in task), labels.names)
        return tasks

    def check_data(self, model: "DetectorConfig", data: "DataConfig") -> None:
        self.resolved_tasks(data.source.labels)
        self.decode.resolved(data.source.labels)

    def build(self, spec: FeatureSpec) -> "CenterHead":
        """Build for BEV features of this width.

        Raises:
            ConfigError: for a class that is unknown or stands twice, and for numbers of suppression
                that are not one a class.
        """
        return CenterHead(self, spec)


class CenterHead(Head):
    """BEV features to a :class:`TaskOutput` per task."""

    def __init__(self, config: CenterHeadConfig, spec: FeatureSpec) -> None:
        super().__init__()
        self.config, self.grid, self.space = config, spec.grid, spec.labels
        self.classes = config.resolved_tasks(spec.labels)
        self.suppression = config.decode.resolved(spec.labels)
        self.shared = conv_bn_relu(spec.channels, config.shared)
        self.widths = REGRESSION | {
            "attribute": len(spec.labels.attributes) if config.attribute_weight > 0 else 0,
            "direction": config.direction_bins if config.direction_bins > 1 else 0,
        }
        self.tasks = nn.ModuleList(
            nn.ModuleDict(
                {
                    name: _branch(config.shared, config.branch, width)
                    for name, width in {"heatmap": len(task), **self.widths}.items()
                    if width
                }
            )
            for task in self.classes
        )
        for task in self.tasks:
            # Few cells hold an object (Lin et al. 2017, Focal Loss, section 3.3).
            nn.init.constant_(task["heatmap"][-1].bias, math.log(config.prior / (1 - config.prior)))

    def forward(self, features: Features) -> list[TaskOutput]:
        shared = self.shared(features.bev)
        outputs = []
        for task, classes in zip(self.tasks, self.classes, strict=True):
            widths = {"heatmap": len(classes), **self.widths}
            maps = _maps(task, shared).split(list(widths.values()), dim=1)
            outputs.append(TaskOutput(**dict(zip(widths, maps, strict=True))))
        return outputs

    def loss(self, output: list[TaskOutput], batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms, summed over tasks.

        They are ``heatmap``, ``regression`` and, where predicted, ``attribute`` and ``direction``.
        """
        tasks = [
            self._task_loss(own, classes, batch.boxes)
            for own, classes in zip(output, self.classes, strict=True)
        ]
        return {name: sum(terms[name] for terms in tasks) for name in tasks[0]}

    def _task_loss(
        self, output: TaskOutput, classes: Sequence[str], gt_boxes: Sequence[Boxes3D]
    ) -> dict[str, Tensor]:
        config, labels = self.config, [self.space.names.index(name) for name in classes]
        targets = center_targets(
            gt_boxes, labels, self.grid, config.gaussian_overlap, config.min_radius, config.direction_bins
        )
        heatmap, regression = center_loss(
            output, targets, config.heatmap_loss, config.velocity_weight, config.velocity_beta
        )
        terms = {
            "heatmap": config.heatmap_weight * heatmap,
            "regression": config.regression_weight * regression,
        }
        if self.widths["attribute"]:
            logits = at_cells(output.attribute, targets)
            terms["attribute"] = config.attribute_weight * attribute_loss(logits, targets.attribute)
        if self.widths["direction"]:
            logits = at_cells(output.direction, targets)
            terms["direction"] = config.direction_weight * direction_loss(logits, targets.direction)
        return terms

    @torch.no_grad()
    def decode(self, output: list[TaskOutput]) -> list[Boxes3D]:
        """Boxes of each sample, best first, in the BEV frame, on the CPU."""
        per_task = [
            decode(own, classes, self.space, self.grid, self.suppression)
            for own, classes in zip(output, self.classes, strict=True)
        ]
        merged = [Boxes3D.cat(list(parts)) for parts in zip(*per_task, strict=True)]
        limit = self.config.decode.max_boxes
        return [boxes[boxes.score.argsort(descending=True)[:limit]] for boxes in merged]

    def boxes(self, decoded: list[Boxes3D]) -> list[Boxes3D]:
        return decoded

    def averaged(self, output: list[TaskOutput], flipped: list[TaskOutput]) -> list[TaskOutput]:
        return [averaged(*pair) for pair in zip(output, map(flipped_back, flipped), strict=True)]

    def adapted(
        self, name: str, state: Mapping[str, Tensor], saved: Mapping[str, Any]
    ) -> tuple[dict[str, Tensor], list[Note]]:
        return adapted_tasks(self, name, state, saved)


def _maps(task: nn.ModuleDict, shared: Float[Tensor, "B C Y X"]) -> Float[Tensor, "B M Y X"]:
    """The maps of a task's branches; those read straight are one convolution, in one pass."""
    branches = list(task.values())
    if any(len(branch) > 1 for branch in branches):
        return torch.cat([branch(shared) for branch in branches], dim=1)
    weight = torch.cat([branch[0].weight for branch in branches])
    return F.conv2d(shared, weight, torch.cat([branch[0].bias for branch in branches]))


def _branch(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    if hidden == 0:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1))
    return nn.Sequential(conv_bn_relu(inputs, hidden), nn.Conv2d(hidden, outputs, 3, padding=1))

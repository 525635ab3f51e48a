"""Center head: class heatmaps and box parameters at every cell, per task (group of classes).

After Yin et al., Center-based 3D Object Detection and Tracking (2021), section 4, with the tasks of
BEVDet. Targets, losses and decoding are in the other modules of this package.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from bev.bounds import Bound, Count, Natural, NonNegative, Positive, check_bounds
from bev.data.batch import Batch
from bev.data.labels import LabelSpace
from bev.geometry import Boxes3D
from bev.models.heads.base import Features, FeatureSpec, Head, HeadConfig, Note
from bev.models.heads.center.adaptation import adapted_tasks
from bev.models.heads.center.decode import DecodeConfig, decode
from bev.models.heads.center.flip import averaged, flipped_back
from bev.models.heads.center.loss import (
    Normalizers,
    at_cells,
    center_loss,
    label_loss,
    normalizers,
)
from bev.models.heads.center.targets import (
    REGRESSION,
    CenterTargets,
    TaskOutput,
    center_targets,
)
from bev.models.heads.losses import HeatmapLoss
from bev.models.layers import conv_bn_relu

if TYPE_CHECKING:
    from bev.data.settings import DataConfig
    from bev.models.detector import DetectorConfig


@dataclass(frozen=True)
class CenterHeadConfig(HeadConfig):
    """Settings of :class:`CenterHead`.

    Attributes:
        tasks: groups of classes; the classes of a task share branches and non-maximum suppression.
            Defaults to the tasks of the label space. Empty for no detection.
        shared: channels of the convolution shared by all tasks.
        branch: channels of the hidden convolution of each output; 0 for outputs directly from the
            shared features by a 1x1 convolution.
        prior: initial probability of the heatmaps; 0.1 as published (bias -2.19).
        gaussian_overlap: minimum overlap of a box with its shifted copy, which determines the
            radius of the Gaussian targets.
        min_radius: minimum radius of the Gaussian targets, cells.
        heatmap_loss: settings of the heatmap loss.
        heatmap_weight: weight of the heatmap loss.
        regression_weight: weight of the L1 loss.
        velocity_weight: weight of the two velocity channels within the L1 loss.
        velocity_beta: threshold of the smooth L1 loss of velocities, metres per second, see
            ``bev.models.heads.center.loss``; 0 for L1, as published.
        attribute_weight: weight of the attribute loss. Attributes are then predicted by a separate
            branch, as in FCOS3D (Wang et al. 2021): images show, for example, whether a cycle has a
            rider. 0, as published, derives attributes from the speed.
        direction_bins: number of direction bins of the heading, see
            ``bev.models.heads.center.targets``; 1, as published, for sine and cosine only.
        direction_weight: weight of the loss of the direction bins.
        decode: settings of decoding and non-maximum suppression.
    """

    tasks: tuple[tuple[str, ...], ...] | None = None
    shared: Count = 64
    branch: Natural = 64
    prior: Annotated[float, Bound(above=0, below=1)] = 0.1
    gaussian_overlap: Annotated[float, Bound(above=0, below=1)] = 0.1
    min_radius: Natural = 2
    heatmap_loss: HeatmapLoss = HeatmapLoss()
    heatmap_weight: NonNegative = 1.0
    regression_weight: NonNegative = 0.25
    velocity_weight: NonNegative = 0.2
    velocity_beta: NonNegative = 0.0
    attribute_weight: NonNegative = 0.0
    direction_bins: Count = 1
    direction_weight: Positive = 0.2
    decode: DecodeConfig = DecodeConfig()

    def __post_init__(self) -> None:
        check_bounds(self, "model.head")

    @property
    def active(self) -> bool:
        return self.tasks != ()

    def resolved_tasks(self, labels: LabelSpace) -> tuple[tuple[str, ...], ...]:
        """Tasks (groups of classes) for a label space.

        Raises:
            ConfigError: if a class is unknown or named twice.
        """
        tasks = labels.tasks if self.tasks is None else self.tasks
        labels.check("model.head.tasks", tuple(n for task in tasks for n in task), labels.names)
        return tasks

    def check_data(self, model: "DetectorConfig", data: "DataConfig") -> None:
        self.resolved_tasks(data.source.labels)
        self.decode.resolved(data.source.labels)

    def build(self, spec: FeatureSpec) -> "CenterHead":
        """Build the head.

        Raises:
            ConfigError: if a class is unknown or named twice, or if settings of non-maximum
                suppression do not have one value per class.
        """
        return CenterHead(self, spec)


class CenterHead(Head):
    """BEV features to one :class:`TaskOutput` per task."""

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
        # Few cells contain an object (Lin et al. 2017, Focal Loss, section 3.3).
        biases = {"heatmap": math.log(config.prior / (1 - config.prior))}
        self.tasks = nn.ModuleList(
            nn.ModuleDict(
                {
                    name: _branch(config.shared, config.branch, width, biases.get(name))
                    for name, width in {"heatmap": len(task), **self.widths}.items()
                    if width
                }
            )
            for task in self.classes
        )

    def forward(self, features: Features) -> list[TaskOutput]:
        shared = self.shared(features.bev)
        outputs = []
        for task, classes in zip(self.tasks, self.classes, strict=True):
            widths = {"heatmap": len(classes), **self.widths}
            maps = _maps(cast(nn.ModuleDict, task), shared).split(list(widths.values()), dim=1)
            outputs.append(TaskOutput(**dict(zip(widths, maps, strict=True))))
        return outputs

    def loss(self, output: list[TaskOutput], batch: Batch) -> dict[str, Tensor]:
        """Weighted loss terms, summed over tasks.

        The terms are ``heatmap``, ``regression`` and, if predicted, ``attribute`` and
        ``direction``. Each is divided by the mean number of boxes over all processes, which must
        all compute the loss.
        """
        targets = self.targets(batch.boxes)
        first, *rest = [
            self._task_loss(*task)
            for task in zip(output, targets, normalizers(targets), strict=True)
        ]
        return {name: sum((terms[name] for terms in rest), first[name]) for name in first}

    def targets(self, gt_boxes: Sequence[Boxes3D]) -> list[CenterTargets]:
        """Targets of each task for the ground-truth boxes of each sample, BEV frame."""
        config = self.config
        return center_targets(
            gt_boxes,
            [[self.space.names.index(name) for name in classes] for classes in self.classes],
            self.grid,
            config.gaussian_overlap,
            config.min_radius,
            config.direction_bins,
        )

    def _task_loss(
        self, output: TaskOutput, targets: CenterTargets, divisors: Normalizers
    ) -> dict[str, Tensor]:
        config = self.config
        heatmap, regression = center_loss(
            output,
            targets,
            divisors,
            config.heatmap_loss,
            config.velocity_weight,
            config.velocity_beta,
        )
        terms = {
            "heatmap": config.heatmap_weight * heatmap,
            "regression": config.regression_weight * regression,
        }
        if self.widths["attribute"]:
            logits = at_cells(output.attribute, targets)
            attribute = label_loss(logits, targets.attribute, divisors.attributes)
            terms["attribute"] = config.attribute_weight * attribute
        if self.widths["direction"]:
            logits = at_cells(output.direction, targets)
            direction = label_loss(logits, targets.direction, divisors.boxes)
            terms["direction"] = config.direction_weight * direction
        return terms

    @torch.no_grad()
    def decode(self, output: list[TaskOutput]) -> list[Boxes3D]:
        """Decode the boxes of each sample, sorted by score, in the BEV frame, on the CPU."""
        per_task = [
            decode(task_output, classes, self.space, self.grid, self.suppression)
            for task_output, classes in zip(output, self.classes, strict=True)
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
    """Compute the maps of all branches of a task; branches of one layer as a single convolution."""
    branches = cast("list[nn.Sequential]", list(task.values()))
    if any(len(branch) > 1 for branch in branches):
        return torch.cat([branch(shared) for branch in branches], dim=1)
    weights = cast("list[Tensor]", [branch[0].weight for branch in branches])
    biases = cast("list[Tensor]", [branch[0].bias for branch in branches])
    return F.conv2d(shared, torch.cat(weights), torch.cat(biases))


def _branch(inputs: int, hidden: int, outputs: int, bias: float | None = None) -> nn.Sequential:
    """Convolutions of one output map; ``bias`` is the initial bias of the last convolution."""
    hidden_layers = [conv_bn_relu(inputs, hidden)] if hidden else []
    kernel = 3 if hidden else 1
    output = nn.Conv2d(hidden or inputs, outputs, kernel, padding=kernel // 2)
    if bias is not None:
        nn.init.constant_(cast(Tensor, output.bias), bias)
    return nn.Sequential(*hidden_layers, output)

"""Decoding of the center head: heatmap peaks, box parameters and non-maximum suppression."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from bev.bounds import Bound, Count, Positive, Probability, check_clashes
from bev.data.labels import LabelSpace
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D
from bev.models.heads.center.nms import circle_nms, rotated_nms
from bev.models.heads.center.targets import REGRESSION, TaskOutput, bin_angle


@dataclass(frozen=True)
class DecodeConfig:
    """Settings of :func:`decode`.

    Attributes:
        pre_max_size: maximum number of cells with the highest scores per task before suppression.
        window: side of the window for peaks, cells, odd: a cell is a peak if no cell of the window
            has a higher score. 1, as published, makes every cell a peak, and leaves the selection
            to non-maximum suppression.
        score: score threshold.
        range: maximum ``|x|`` and ``|y|`` of a box centre, metres.
        nms: "rotated" (scale-NMS with the IoU of rotated boxes), "circle" (distance of centres) or
            "none".
        distance: classes whose tasks use the distance of centres if ``nms`` is "rotated" (published
            for barriers).
        nms_rescale_factor: scale-NMS factor on length and width for each class of the label space,
            in its order; empty for the values of the classes (``ObjectClass.nms_rescale_factor``).
        nms_overlap: IoU above which the box with the lower score is removed, for each class;
            empty for the values of the classes (``ObjectClass.nms_overlap``).
        by_class: apply non-maximum suppression per class instead of per task.
        post_max_size: maximum number of boxes per task after suppression.
        max_boxes: maximum number of boxes per sample (500 is the official limit).
    """

    pre_max_size: Count = 500
    window: Count = 3
    score: Probability = 0.1
    range: Annotated[float, Bound(above=0, finite=False)] = 61.2
    nms: Literal["rotated", "circle", "none"] = "rotated"
    distance: tuple[str, ...] = ()
    nms_rescale_factor: tuple[Positive, ...] = ()
    nms_overlap: tuple[Probability, ...] = ()
    by_class: bool = False
    post_max_size: Count = 83
    max_boxes: Count = 500

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about a window without a middle."""
        if self.window % 2 == 0:
            yield f"decode.window = {self.window} must be an odd number of cells."

    def resolved(self, labels: LabelSpace) -> "DecodeConfig":
        """Fill in ``nms_rescale_factor`` and ``nms_overlap`` for each class.

        Raises:
            ConfigError: if their lengths are neither 0 nor the number of classes.
        """
        return replace(
            self,
            nms_rescale_factor=self._per_class("nms_rescale_factor", labels),
            nms_overlap=self._per_class("nms_overlap", labels),
        )

    def _per_class(self, name: str, labels: LabelSpace) -> tuple[float, ...]:
        values = getattr(self, name) or tuple(getattr(one, name) for one in labels.classes)
        if len(values) != len(labels.classes):
            raise ConfigError(
                f"decode.{name} needs {len(labels.classes)} numbers, one per class, not"
                f" {len(values)}."
            )
        return values


@torch.no_grad()
def decode(
    output: TaskOutput,
    task: Sequence[str],
    labels: LabelSpace,
    grid: BevGrid,
    config: DecodeConfig,
) -> list[Boxes3D]:
    """Decode heatmaps into boxes of one task, per sample, sorted by score.

    Boxes are in the BEV frame (metres), on the CPU. Peaks are found on the device; non-maximum
    suppression of the few remaining boxes runs on the CPU, as it consists of many small operations.

    Args:
        output: output maps of the task; without attribute logits, boxes have no attribute.
        task: class of each heatmap channel.
        labels: label space of the box labels.
        grid: BEV grid of the maps.
        config: settings with values for each class, see :meth:`DecodeConfig.resolved`.
    """
    score = output.heatmap.float().sigmoid()
    if config.window > 1:
        best_near = F.max_pool2d(score, config.window, stride=1, padding=config.window // 2)
        score = score * (score == best_near)
    batch, _, rows, columns = score.shape
    best, index = score.flatten(1).topk(min(config.pre_max_size, score[0].numel()), dim=1)
    channel, cell = index // (rows * columns), index % (rows * columns)
    maps = {name: getattr(output, name) for name in (*REGRESSION, "attribute", "direction")}
    widths = [m.shape[1] for m in maps.values()]
    attributes, direction_bins = output.attribute.shape[1], output.direction.shape[1]
    positions = cell.unsqueeze(1)
    values = torch.cat(
        [
            m.flatten(2).gather(2, positions.expand(-1, m.shape[1], -1)).float()
            for m in maps.values()
        ],
        dim=1,
    )
    best, channel, cell, values = (t.cpu() for t in (best, channel, cell, values))
    class_of_channel = torch.tensor([labels.names.index(name) for name in task])
    results = []
    for sample in range(batch):
        row, column = cell[sample] // columns, cell[sample] % columns
        params = dict(zip(maps, values[sample].T.split(widths, dim=1), strict=True))
        label = class_of_channel[channel[sample]]
        x = grid.x[0] + (column + params["offset"][:, 0]) * grid.x[2]
        y = grid.y[0] + (row + params["offset"][:, 1]) * grid.y[2]
        yaw = torch.atan2(*params["heading"].T)
        if direction_bins:
            yaw = yaw + bin_angle(params["direction"].argmax(dim=1), direction_bins)
        boxes = Boxes3D.make(
            center=torch.stack([x, y, params["height"][:, 0]], dim=1),
            size=params["size"].clamp(-5, 5).exp(),
            yaw=yaw,
            velocity=params["velocity"],
            label=label,
            score=best[sample],
            attribute=best_attribute(params["attribute"], label, labels) if attributes else None,
        )
        near = (boxes.center[:, :2].abs() <= config.range).all(dim=1)
        boxes = boxes[(boxes.score > config.score) & near]
        results.append(boxes[_suppress(boxes, task, labels, config)])
    return results


def _suppress(
    boxes: Boxes3D, task: Sequence[str], labels: LabelSpace, config: DecodeConfig
) -> Tensor:
    """Apply non-maximum suppression to the boxes of a task, sorted by score; returns indices."""
    if config.nms == "none":
        return torch.arange(min(len(boxes), config.post_max_size))
    separate = boxes.label if config.by_class else torch.zeros_like(boxes.label)
    if config.nms == "circle" or any(name in config.distance for name in task):
        radii = _by_label([one.nms_radius for one in labels.classes], boxes)
        return circle_nms(boxes.center[:, :2], radii, separate, config.post_max_size)
    scale = _by_label(config.nms_rescale_factor, boxes).unsqueeze(1)
    rectangles = torch.cat(
        [boxes.center[:, :2], boxes.size[:, :2] * scale, boxes.yaw.unsqueeze(1)], dim=1
    )
    overlap = _by_label(config.nms_overlap, boxes)
    return rotated_nms(rectangles, overlap, separate, config.post_max_size)


def _by_label(values: Sequence[float], boxes: Boxes3D) -> Tensor:
    return boxes.center.new_tensor(values)[boxes.label]


def best_attribute(
    logits: Float[Tensor, "M A"], label: Int[Tensor, " M"], labels: LabelSpace
) -> Int[Tensor, " M"]:
    """Most probable attribute of each box among those of its class; -1 for classes without any."""
    possible = _possible(labels).to(label.device)[label]
    best = logits.masked_fill(~possible, -torch.inf).argmax(dim=1)
    return torch.where(possible.any(dim=1), best, -1)


def _possible(labels: LabelSpace) -> Bool[Tensor, "classes A"]:
    return torch.tensor(
        [[name in one.attributes for name in labels.attributes] for one in labels.classes]
    )

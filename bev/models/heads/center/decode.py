"""From the centre head's maps back to boxes: peaks, box parameters, non-maximum suppression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from bev.data.nuscenes.classes import CLASSES
from bev.errors import ConfigError
from bev.geometry import BevGrid, Boxes3D
from bev.models.heads.center.attributes import best_attribute
from bev.models.heads.center.heading import sector_angle
from bev.models.heads.center.nms import circle_nms, rotated_nms
from bev.models.heads.center.targets import REGRESSION, GroupOutput

# Factors on length and width before overlaps are computed, so that thin boxes that miss one another
# still suppress one another ("scale-NMS", Huang et al., BEVDet 2021, section 3.5).
NMS_SCALE = {
    "car": 1.0,
    "truck": 0.7,
    "construction_vehicle": 0.7,
    "bus": 0.4,
    "trailer": 0.55,
    "barrier": 1.1,
    "motorcycle": 1.0,
    "bicycle": 1.0,
    "pedestrian": 4.5,
    "traffic_cone": 9.0,
}

# Rotated overlap above which the lower box goes; 0.5 for the two small classes.
NMS_OVERLAP = {name: 0.2 for name in CLASSES} | {"pedestrian": 0.5, "traffic_cone": 0.5}

# Distance of centres (metres) below which the lower box goes. Published code lists 4, 12, 10, 1,
# 0.85 and 0.175 as radii but compares them with squared distances: these are their square roots.
NMS_RADIUS = {
    "car": 4.0**0.5,
    "truck": 12.0**0.5,
    "construction_vehicle": 12.0**0.5,
    "bus": 10.0**0.5,
    "trailer": 10.0**0.5,
    "barrier": 1.0,
    "motorcycle": 0.85**0.5,
    "bicycle": 0.85**0.5,
    "pedestrian": 0.175**0.5,
    "traffic_cone": 0.175**0.5,
}

_RADII = tuple(NMS_RADIUS[name] for name in CLASSES)


@dataclass(frozen=True)
class DecodeConfig:
    """Settings of :func:`decode`.

    Attributes:
        peaks: the best cells of a group that are looked at.
        window: a cell is a peak where none of the window's (cells a side, odd) has a greater score;
            1, as published, takes every cell and leaves the rest to the suppression.
        score: least score.
        range: greatest |x| and |y| of a centre, metres.
        nms: "rotated" (scale-NMS on rotated overlaps), "circle" (distance of centres) or "none".
        distance: groups with one of these classes are suppressed by distance of centres where
            ``nms`` is "rotated" (published for barriers).
        nms_scale: of each class (in the order of ``CLASSES``), the factor on length and width.
        nms_overlap: of each class, the rotated overlap above which the lower box goes.
        by_class: let boxes suppress their own class only, instead of their whole group.
        group_boxes: most boxes of a group after suppression.
        max_boxes: most boxes of a sample (500 is the official limit).
    """

    peaks: int = 500
    window: int = 3
    score: float = 0.1
    range: float = 61.2
    nms: Literal["rotated", "circle", "none"] = "rotated"
    distance: tuple[str, ...] = ()
    nms_scale: tuple[float, ...] = tuple(NMS_SCALE[name] for name in CLASSES)
    nms_overlap: tuple[float, ...] = tuple(NMS_OVERLAP[name] for name in CLASSES)
    by_class: bool = False
    group_boxes: int = 83
    max_boxes: int = 500

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 2 == 0:
            raise ConfigError(f"decode.window = {self.window} must be an odd number of cells.")
        for name in ("nms_scale", "nms_overlap"):
            if len(getattr(self, name)) != len(CLASSES):
                raise ConfigError(f"decode.{name} needs {len(CLASSES)} numbers, one a class.")


@torch.no_grad()
def decode(
    output: GroupOutput,
    labels: Sequence[int],
    grid: BevGrid,
    config: DecodeConfig,
) -> list[Boxes3D]:
    """Boxes of one group for each sample, best first, in the BEV frame (metres), on the CPU.

    Peaks are found on the device; the few boxes that remain are suppressed on the CPU, since that
    goes in rounds of small operations.

    Args:
        output: maps of the group; boxes have no attribute where none is told.
        labels: the class index of each heatmap channel.
    """
    score = output.heatmap.float().sigmoid()
    if config.window > 1:
        best_near = F.max_pool2d(score, config.window, stride=1, padding=config.window // 2)
        score = score * (score == best_near)
    batch, _, rows, columns = score.shape
    best, index = score.flatten(1).topk(min(config.peaks, score[0].numel()), dim=1)
    channel, cell = index // (rows * columns), index % (rows * columns)
    parts = (output.regression, output.attribute, output.sector)
    attributes, sectors = output.attribute.shape[1], output.sector.shape[1]
    places = cell.unsqueeze(1)
    values = torch.cat(
        [p.flatten(2).gather(2, places.expand(-1, p.shape[1], -1)).float() for p in parts], dim=1
    )
    best, channel, cell, values = (t.cpu() for t in (best, channel, cell, values))
    class_of_channel = torch.tensor(labels)
    results = []
    for sample in range(batch):
        row, column = cell[sample] // columns, cell[sample] % columns
        widths = [*REGRESSION.values(), attributes, sectors]
        offset, height, log_size, heading, velocity, attribute, sector = values[sample].T.split(
            widths, dim=1
        )
        label = class_of_channel[channel[sample]]
        x = grid.x[0] + (column + offset[:, 0]) * grid.x[2]
        y = grid.y[0] + (row + offset[:, 1]) * grid.y[2]
        yaw = torch.atan2(heading[:, 0], heading[:, 1])
        if sectors:
            yaw = yaw + sector_angle(sector.argmax(dim=1), sectors)
        boxes = Boxes3D.make(
            center=torch.stack([x, y, height[:, 0]], dim=1),
            size=log_size.clamp(-5, 5).exp(),
            yaw=yaw,
            velocity=velocity,
            label=label,
            score=best[sample],
            attribute=best_attribute(attribute, label) if attributes else None,
        )
        near = (boxes.center[:, :2].abs() <= config.range).all(dim=1)
        boxes = boxes[(boxes.score > config.score) & near]
        results.append(boxes[_suppress(boxes, labels, config)])
    return results


def _suppress(boxes: Boxes3D, labels: Sequence[int], config: DecodeConfig) -> Tensor:
    """Indices of the boxes (sorted, best first) of a group that survive."""
    if config.nms == "none":
        return torch.arange(min(len(boxes), config.group_boxes))
    separate = boxes.label if config.by_class else torch.zeros_like(boxes.label)
    if config.nms == "circle" or any(CLASSES[label] in config.distance for label in labels):
        return circle_nms(
            boxes.center[:, :2], _by_label(_RADII, boxes), separate, config.group_boxes
        )
    scale = _by_label(config.nms_scale, boxes).unsqueeze(1)
    rectangles = torch.cat(
        [boxes.center[:, :2], boxes.size[:, :2] * scale, boxes.yaw.unsqueeze(1)], dim=1
    )
    overlap = _by_label(config.nms_overlap, boxes)
    return rotated_nms(rectangles, overlap, separate, config.group_boxes)


def _by_label(values: Sequence[float], boxes: Boxes3D) -> Tensor:
    return boxes.center.new_tensor(values)[boxes.label]

"""Output maps of the center head and their targets: Gaussian heatmaps and box parameters.

The box parameters at the cell of each box centre are separate maps, from the convolution to the
decoder: ``offset`` of the centre from the lower corner of its cell (x, y, in cells), ``height`` of
the centre (metres), ``size`` (log of length, width and height), ``heading`` (sine and cosine of the
yaw; relative to the centre of its direction bin, if there are several) and ``velocity`` (x, y,
metres per second; NaN if unknown).

Headings can be predicted as one of S direction bins and an angle relative to the centre of the bin.
The heading of distant vehicles is often ambiguous. L1 is minimised by the medians of sine and
cosine separately, which may correspond to none of the possible headings; a classification over bins
selects one. After Mousavian et al., 3D Bounding Box Estimation Using Deep Learning and Geometry
(2017), section 3.2, where bins overlap and have an angle each; here they do not overlap and share
one. Bin 0 is centred at yaw 0 (+x), and the others follow counter-clockwise, with a width of
2 pi / S. With a multiple of four bins, traffic along and across the road of the ego vehicle is far
from the bin borders.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.geometry import BevGrid, Boxes3D

_MOST = 2**21  # cells of the windows that are drawn at once

# Channels of each map of box parameters.
REGRESSION = {"offset": 2, "height": 1, "size": 3, "heading": 2, "velocity": 2}


class TaskOutput(NamedTuple):
    """Output maps of one task of K classes.

    Attributes:
        heatmap: (B, K, Y, X) logits.
        offset, height, size, heading, velocity: box parameters, see the module's description.
        attribute: (B, A, Y, X) logits of all attributes; A = 0 if none are predicted.
        direction: (B, S, Y, X) logits of the direction bins; S = 0 if there is only one bin.
    """

    heatmap: Float[Tensor, "B K Y X"]
    offset: Float[Tensor, "B 2 Y X"]
    height: Float[Tensor, "B 1 Y X"]
    size: Float[Tensor, "B 3 Y X"]
    heading: Float[Tensor, "B 2 Y X"]
    velocity: Float[Tensor, "B 2 Y X"]
    attribute: Float[Tensor, "B A Y X"]
    direction: Float[Tensor, "B S Y X"]


class CenterTargets(NamedTuple):
    """Targets of one task of K classes, with P boxes inside the grid.

    Attributes:
        heatmap: (B, K, Y, X) in [0, 1], exactly 1 at the cell of each centre.
        cell: (P, 3) sample, row and column of each box.
        regression: (P, c) values of each map of box parameters, by name; NaN if unknown.
        attribute: (P,) index into the label space's attributes; -1 for none.
        direction: (P,) direction bin of each box.
    """

    heatmap: Float[Tensor, "B K Y X"]
    cell: Int[Tensor, "P 3"]
    regression: dict[str, Float[Tensor, "P _"]]
    attribute: Int[Tensor, " P"]
    direction: Int[Tensor, " P"]


@torch.no_grad()
def center_targets(
    gt_boxes: Sequence[Boxes3D],
    tasks: Sequence[Sequence[int]],
    grid: BevGrid,
    gaussian_overlap: float = 0.1,
    min_radius: int = 2,
    direction_bins: int = 1,
) -> list[CenterTargets]:
    """Compute the targets of a batch, one per task; boxes outside the grid are ignored.

    All samples and tasks are computed together, with a single wait for the device: on a GPU, many
    small operations would take most of the training step.

    Args:
        gt_boxes: ground-truth boxes of each sample, BEV frame.
        tasks: class index of each heatmap channel of each task; tasks share no class.
        grid: BEV grid of the maps; its z range does not limit the boxes.
        gaussian_overlap: minimum overlap that determines the radius of the Gaussians.
        min_radius: minimum radius of the Gaussians, cells.
        direction_bins: number of direction bins.
    """
    boxes, (_, rows, columns) = Boxes3D.cat(gt_boxes), grid.shape
    device = boxes.center.device
    counts = torch.tensor([len(sample_boxes) for sample_boxes in gt_boxes])
    sample = torch.arange(len(gt_boxes)).repeat_interleave(counts).to(device, non_blocking=True)
    channel, task = _channels(boxes.label, tasks)
    flat = boxes.center.clone()
    flat[:, 2] = (grid.z[0] + grid.z[1]) / 2
    cell, inside = grid.locate(flat)
    task = torch.where(inside, task, len(tasks))
    radius = gaussian_radius(
        boxes.size[:, 0] / grid.x[2], boxes.size[:, 1] / grid.y[2], gaussian_overlap
    )
    largest = max(rows, columns)
    radius = radius.floor().clamp(min=min_radius).nan_to_num(min_radius, posinf=largest)
    radius = torch.where(task < len(tasks), radius, 0)
    numbers = torch.cat([
        (task == torch.arange(len(tasks), device=device)[:, None]).sum(dim=1),
        radius.amax().long()[None] if len(boxes) else task.new_zeros(1),
    ])  # fmt: skip
    *sizes, reach = numbers.tolist()

    # In the order of tasks, and within a task in that of the samples.
    order = task.argsort(stable=True)[: sum(sizes)]
    boxes, sample, channel, radius = boxes[order], sample[order], channel[order], radius[order]
    place = torch.cat([sample[:, None], cell[order, 1:]], dim=1)
    heatmap = torch.zeros(len(gt_boxes), sum(map(len, tasks)), rows, columns, device=device)
    _draw_gaussians(heatmap, place, channel, radius, min(reach, largest))
    direction = direction_bin(boxes.yaw, direction_bins)
    regression = encode(boxes, place[:, 1:], grid, bin_angle(direction, direction_bins))
    return [
        CenterTargets(maps, cells, dict(zip(REGRESSION, values, strict=True)), attribute, bins)
        for maps, cells, attribute, bins, *values in zip(
            heatmap.split([len(labels) for labels in tasks], dim=1),
            *(
                tensor.split(sizes)
                for tensor in (
                    place, boxes.attribute, direction, *(regression[name] for name in REGRESSION)
                )
            ),
            strict=True,
        )
    ]  # fmt: skip


def _channels(
    label: Int[Tensor, " M"], tasks: Sequence[Sequence[int]]
) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
    """Heatmap channel, counted over all tasks, and task of each label; -1 and T if in none."""
    most = max((number for labels in tasks for number in labels), default=-1)
    table = torch.tensor([[-1], [len(tasks)]]).repeat(1, most + 2)  # the last is for other labels
    pairs = [(task, number) for task, labels in enumerate(tasks) for number in labels]
    for channel, (task, number) in enumerate(pairs):
        table[0, number], table[1, number] = channel, task
    known = torch.where((label >= 0) & (label <= most), label, most + 1)
    channels, tasks_of = table.to(label.device, non_blocking=True)[:, known]
    return channels, tasks_of


def encode(
    boxes: Boxes3D,
    cell: Int[Tensor, "M 2"],
    grid: BevGrid,
    origin: Float[Tensor, " M"],
) -> dict[str, Float[Tensor, "M _"]]:
    """Encode boxes as box parameters, by name.

    Args:
        boxes: boxes in the BEV frame.
        cell: cell (row, column) of each box centre.
        grid: BEV grid.
        origin: yaw that the heading of each box is relative to, radians.
    """
    angle = boxes.yaw - origin
    column_row = cell.flip(-1).to(boxes.center)
    filled = partial(boxes.center.new_full, ())  # unlike new_tensor, no copy that a GPU waits for
    low = torch.stack([filled(grid.x[0]), filled(grid.y[0])])
    step = torch.stack([filled(grid.x[2]), filled(grid.y[2])])
    return {
        "offset": (boxes.center[:, :2] - low) / step - column_row,
        "height": boxes.center[:, 2:],
        "size": boxes.size.log(),
        "heading": torch.stack([torch.sin(angle), torch.cos(angle)], dim=1),
        "velocity": boxes.velocity,
    }


def gaussian_radius(
    length: Float[Tensor, " M"], width: Float[Tensor, " M"], overlap: float
) -> Float[Tensor, " M"]:
    """Radius, in cells, by which corners may shift while the overlap stays at least ``overlap``.

    The radius is the minimum over the three cases of Law and Deng, CornerNet (2018), section 3.2
    (one corner inside and one outside, both inside, both outside). The roots are computed as in
    published detection code, (b + sqrt(disc)) / 2, which the published recipes rely on.
    """
    total, area = length + width, length * width
    one = total + (total**2 - 4 * area * (1 - overlap) / (1 + overlap)).sqrt()
    inner = 2 * total + ((2 * total) ** 2 - 16 * area * (1 - overlap)).sqrt()
    b = -2 * overlap * total
    outer = b + (b**2 - 16 * overlap * (overlap - 1) * area).sqrt()
    return torch.stack([one, inner, outer]).amin(dim=0) / 2


def _draw_gaussians(
    heatmap: Float[Tensor, "B K Y X"],
    place: Int[Tensor, "M 3"],
    channel: Int[Tensor, " M"],
    radius: Float[Tensor, " M"],
    reach: int,
) -> None:
    """Draw the Gaussian of each box into its channel by an elementwise maximum.

    Args:
        heatmap: heatmaps, at least 0.
        place: sample, row and column of each box.
        channel: channel of each box.
        radius: radius of each Gaussian, cells.
        reach: distance up to which Gaussians are drawn along rows and columns, cells.
    """
    window = torch.arange(-reach, reach + 1, device=place.device)
    few = max(_MOST // len(window) ** 2, 1)  # a single huge box enlarges the windows of all
    for boxes in zip(place.split(few), channel.split(few), radius.split(few), strict=True):
        _draw_windows(heatmap, window, *boxes)


def _draw_windows(
    heatmap: Float[Tensor, "B K Y X"],
    window: Int[Tensor, " W"],
    place: Int[Tensor, "M 3"],
    channel: Int[Tensor, " M"],
    radius: Float[Tensor, " M"],
) -> None:
    rows, columns = heatmap.shape[2:]
    radius = radius.view(-1, 1, 1)
    sigma = (2 * radius + 1) / 6
    dy, dx = window.view(1, -1, 1), window.view(1, 1, -1)
    value = torch.exp(-(dx**2 + dy**2) / (2 * sigma**2))
    sample, row, column = place.view(-1, 3, 1, 1).unbind(1)
    row, column = row + dy, column + dx
    drawn = (dx.abs() <= radius) & (dy.abs() <= radius)
    drawn = drawn & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    # A maximum with zero changes nothing; a mask of the indices would be a wait for the device.
    value = torch.where(drawn, value, 0.0)
    row, column = row.clamp(0, rows - 1), column.clamp(0, columns - 1)
    image = sample * heatmap.shape[1] + channel.view(-1, 1, 1)
    index = (image * rows + row) * columns + column
    heatmap.view(-1).scatter_reduce_(0, index.view(-1), value.to(heatmap).view(-1), "amax")


def direction_bin(yaw: Float[Tensor, " M"], direction_bins: int) -> Int[Tensor, " M"]:
    """Direction bin of each yaw (radians)."""
    return (yaw * (direction_bins / (2 * math.pi))).round().long() % direction_bins


def bin_angle(direction: Int[Tensor, " M"], direction_bins: int) -> Float[Tensor, " M"]:
    """Yaw at the centre of a direction bin, radians in [0, 2 pi)."""
    return direction * (2 * math.pi / direction_bins)

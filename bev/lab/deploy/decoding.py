"""Decoding of center heads in a graph: tensors of fixed shape, and circle NMS.

The results are those of ``bev.models.heads.center.decode``. Shapes do not depend on the data:
boxes that are left out have the score 0.
"""

from typing import Any, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from bev.models.heads.center.decode import DecodeConfig
from bev.models.heads.center.head import CenterHead
from bev.models.heads.center.targets import REGRESSION, TaskOutput, bin_angle

MOST = 500  # candidates of a task


class Decoding(nn.Module):
    """Output maps of a center head to boxes, best first.

    Args:
        suppress: apply circle NMS; otherwise all candidates are returned.
    """

    def __init__(self, suppress: bool) -> None:
        super().__init__()
        self.suppress = suppress

    def forward(self, head: CenterHead, output: list[TaskOutput]) -> dict[str, Tensor]:
        """Decode the outputs of a batch.

        Returns:
            ``boxes`` (B, M, 9) x, y, z, length, width, height, yaw, vx, vy; ``scores`` (B, M), 0
            for no box; ``labels`` (B, M); ``attributes`` (B, M), -1 for none.
        """
        per_task = [
            self.task(head, task, classes)
            for task, classes in zip(output, head.classes, strict=True)
        ]
        boxes, scores, labels, attributes = (
            torch.cat(parts, dim=1) for parts in zip(*per_task, strict=True)
        )
        if len(per_task) > 1 or self.suppress:
            most = head.config.decode.max_boxes if self.suppress else scores.shape[1]
            scores, order = scores.topk(min(most, scores.shape[1]), dim=1)
            boxes = boxes.gather(1, order.unsqueeze(2).expand(-1, -1, boxes.shape[2]))
            labels, attributes = labels.gather(1, order), attributes.gather(1, order)
        return {"boxes": boxes, "scores": scores, "labels": labels, "attributes": attributes}

    def task(
        self, head: CenterHead, output: TaskOutput, classes: tuple[str, ...]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Decode one task: boxes, scores, labels and attributes."""
        config, grid, space = head.suppression, head.grid, head.space
        score = output.heatmap.sigmoid()
        if config.window > 1:
            best_near = F.max_pool2d(score, config.window, stride=1, padding=config.window // 2)
            score = score * (score == best_near).to(score.dtype)
        _, channels, rows, columns = score.shape
        count = min(config.pre_max_size, MOST, channels * rows * columns)
        best, index = score.flatten(1).topk(count, dim=1)
        cell = index % (rows * columns)
        maps = {name: getattr(output, name) for name in (*REGRESSION, "attribute", "direction")}
        widths = [m.shape[1] for m in maps.values()]
        joined = torch.cat([m for m in maps.values() if m.shape[1]], dim=1).flatten(2)
        values = joined.gather(2, cell.unsqueeze(1).expand(-1, joined.shape[1], -1))
        parts = dict(zip(maps, values.split(widths, dim=1), strict=True))
        offset = parts["offset"]
        x = grid.x[0] + (cell % columns + offset[:, 0]) * grid.x[2]
        y = grid.y[0] + (cell // columns + offset[:, 1]) * grid.y[2]
        yaw = torch.atan2(parts["heading"][:, 0], parts["heading"][:, 1])
        if widths[-1]:
            bins = parts["direction"].argmax(dim=1)
            yaw = yaw + bin_angle(bins.flatten(), widths[-1]).view_as(yaw)
        boxes = torch.stack(
            [x, y, parts["height"][:, 0], *parts["size"].clamp(-5, 5).exp().unbind(1), yaw,
             *parts["velocity"].unbind(1)], dim=2,
        )  # fmt: skip
        names = torch.tensor([space.names.index(name) for name in classes])
        label = names[index // (rows * columns)]
        attribute = torch.full_like(label, -1)
        if widths[-2]:
            possible = torch.tensor(
                [[a in one.attributes for a in space.attributes] for one in space.classes]
            )[label]
            logits = parts["attribute"].transpose(1, 2)
            chosen = logits.masked_fill(~possible, -1e9).argmax(dim=2)
            attribute = torch.where(possible.any(dim=2), chosen, attribute)
        near = (x.abs() <= config.range) & (y.abs() <= config.range)
        valid = (best > config.score) & near
        if self.suppress:
            valid = _kept(head, boxes, label, valid, config)
        return boxes, best * valid.to(best.dtype), label, attribute


def _kept(
    head: CenterHead,
    boxes: Float[Tensor, "B M 9"],
    label: Int[Tensor, "B M"],
    valid: Bool[Tensor, "B M"],
    config: DecodeConfig,
) -> Bool[Tensor, "B M"]:
    """Boxes that circle NMS keeps, at most ``post_max_size``."""
    if config.nms != "none":
        radius = torch.tensor([one.nms_radius for one in head.space.classes])[label]
        apart = boxes[:, :, None, :2] - boxes[:, None, :, :2]
        near = (apart * apart).sum(3) < (radius * radius).unsqueeze(2)
        if config.by_class:
            near = near & (label.unsqueeze(2) == label.unsqueeze(1))
        before = torch.ones(near.shape[1], near.shape[1]).triu(1)
        valid = greedy(near.to(boxes.dtype) * before, valid)
    return valid & (valid.to(torch.int64).cumsum(1) <= config.post_max_size)


def suppression_of(head: CenterHead) -> dict[str, Any]:
    """Arguments with which ``bev.lab.deploy.nms.rotated_nms`` makes boxes of the candidates."""
    config, classes = head.suppression, head.space.classes
    rotated = config.nms == "rotated"
    circle = {
        name
        for task in head.classes
        for name in task
        if config.nms == "circle" or (rotated and not set(task).isdisjoint(config.distance))
    }
    number = {name: task for task, names in enumerate(head.classes) for name in names}
    return {
        "tasks": [number.get(one.name, -1) for one in classes],
        "scale": list(config.nms_rescale_factor),
        "overlap": [
            limit if rotated and one.name not in circle else 1.0
            for one, limit in zip(classes, config.nms_overlap, strict=True)
        ],
        "radius": [one.nms_radius if one.name in circle else 0.0 for one in classes],
        "by_class": config.by_class,
        "most": config.post_max_size,
        "total": config.max_boxes,
    }


def greedy(removes: Float[Tensor, "B M M"], valid: Bool[Tensor, "B M"]) -> Bool[Tensor, "B M"]:
    """Greedy suppression as a fixed point: keep each box that no kept better box removes.

    Each round applies this rule to all boxes at once. The first boxes are decided first, so the
    rounds end at the only fixed point, which is the result of greedy suppression.

    Args:
        removes: 1 where the box of the row, if kept, removes the box of the column, which is worse.
        valid: boxes that take part.
    """
    from torch._higher_order_ops import while_loop

    # Without annotations: the run-time type checks of the tests cannot be traced.
    def going(keep, changed):
        return changed.any()

    def once(keep, changed):
        removed = (keep.to(removes.dtype).unsqueeze(1) @ removes).squeeze(1) > 0
        new = valid & ~removed
        return new, (new != keep).any().reshape(1)

    keep, changed = valid.clone(), torch.ones(1, dtype=torch.bool, device=valid.device)
    if torch.compiler.is_exporting():
        return cast(Tensor, while_loop(going, once, (keep, changed))[0])
    while going(keep, changed):
        keep, changed = once(keep, changed)
    return keep

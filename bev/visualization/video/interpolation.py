"""Ground truth between two key frames."""

import math
from dataclasses import fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bev.data.frame import AdjacentFrame, Frame
from bev.geometry import Boxes3D, inverse_rigid


def frame_between(first: Frame, following: Frame, other: AdjacentFrame) -> Frame:
    """Frame with the images between two key frames of a scene, and with interpolated ground truth.

    Args:
        first: key frame before the images.
        following: key frame after them.
        other: the images, relative to ``first``.

    Returns:
        A frame without lidar, whose reference ego frame is that of the images. If the data source
        has no identities of objects (``Frame.instances``), its boxes are those of the key frame
        that is nearer in time.
    """
    duration = (following.timestamp - first.timestamp) * 1e-6
    share = min(max(other.seconds / duration, 0.0), 1.0) if duration > 0 else 0.0
    global_from_ego = first.global_from_ego @ other.ego_from_adjacent
    nearer = first if share < 0.5 else following
    if first.instances is None or following.instances is None:
        boxes = _in_global(nearer)
        instances, points = nearer.instances, nearer.num_points
    else:
        boxes, instances, rows = interpolate(
            _in_global(first), first.instances, _in_global(following), following.instances, share
        )
        points = None
        if first.num_points is not None and following.num_points is not None:
            points = torch.cat([first.num_points, following.num_points])[rows]
    single = boxes.transform(inverse_rigid(global_from_ego))
    return Frame(
        token=f"{first.token}+{other.seconds:.3f}s",
        cameras=other.cameras,
        boxes=replace(
            single,
            **{
                field.name: value.float()
                for field in fields(single)
                if (value := getattr(single, field.name)).is_floating_point()
            },
        ),
        scene=first.scene,
        timestamp=first.timestamp + round(other.seconds * 1e6),
        global_from_ego=global_from_ego,
        num_points=points,
        instances=instances,
    )


def interpolate(
    first: Boxes3D,
    first_instances: Int[Tensor, " M"],
    following: Boxes3D,
    following_instances: Int[Tensor, " K"],
    share: float,
) -> tuple[Boxes3D, Int[Tensor, " L"], Int[Tensor, " L"]]:
    """Interpolate the boxes of two times, in one frame that does not move.

    Centre, size and velocity are linear in time, and the yaw turns the shortest way. A box that
    only one time has is kept unchanged in the half of the interval beside that time.

    Args:
        first: boxes at the start.
        first_instances: number of the tracked object of each.
        following: boxes at the end.
        following_instances: number of the tracked object of each.
        share: share of the interval that has passed, 0 to 1.

    Returns:
        The boxes; the number of the tracked object of each; and the box of the nearer time that
        each comes from, an index into both times' boxes, one after the other.
    """
    early = {number: row for row, number in enumerate(first_instances.tolist())}
    late = {number: row for row, number in enumerate(following_instances.tolist())}
    common = [number for number in early if number in late]
    a = first[torch.tensor([early[number] for number in common], dtype=torch.long)]
    b = following[torch.tensor([late[number] for number in common], dtype=torch.long)]
    nearer, is_first = (a, True) if share < 0.5 else (b, False)
    moved = replace(
        nearer,
        center=_mixed(a.center, b.center, share),
        size=_mixed(a.size, b.size, share),
        yaw=a.yaw + share * _turn(a.yaw, b.yaw),
        velocity=_mixed(a.velocity, b.velocity, share),
    )
    own, other, boxes = (early, late, first) if is_first else (late, early, following)
    alone = [number for number in own if number not in other]
    kept = boxes[torch.tensor([own[number] for number in alone], dtype=torch.long)]
    offset = 0 if is_first else len(first)
    numbers = [*common, *alone]
    rows = torch.tensor([offset + own[number] for number in numbers], dtype=torch.long)
    return Boxes3D.cat([moved, kept]), torch.tensor(numbers, dtype=torch.long), rows


def _mixed(a: Float[Tensor, "M *n"], b: Float[Tensor, "M *n"], share: float) -> Tensor:
    return a + share * (b - a)


def _turn(start: Float[Tensor, " M"], end: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
    """Shortest turn from one angle to another, radians in [-pi, pi)."""
    return (end - start + math.pi) % (2 * math.pi) - math.pi


def _in_global(frame: Frame) -> Boxes3D:
    return frame.boxes.to("cpu").double().transform(frame.global_from_ego)

"""Non-maximum suppression in BEV, by rotated IoU or by distance of centres.

Boxes are sorted by score, best first. A box is removed if a better box that is kept is too near.
Instead of processing boxes one by one, each round keeps all boxes that no undecided better box
could remove, and removes the boxes that they suppress. The result equals greedy suppression, after
a few rounds. Everything runs on the CPU, as decoding leaves a few hundred boxes at most.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def circle_nms(
    centers: Float[Tensor, "M 2"],
    radius: Float[Tensor, " M"],
    group: Int[Tensor, " M"],
    most: int = 500,
) -> Int[Tensor, " kept"]:
    """Circle NMS: indices of boxes that lie within the radius of no better box of their group.

    Args:
        centers: (M, 2) box centres, metres, best first.
        radius: suppression radius of each box, metres.
        group: group of each box; boxes suppress boxes of their own group only.
        most: maximum number of kept boxes.
    """
    near = _distances(centers) < radius.unsqueeze(1)
    near &= group.unsqueeze(1) == group
    return _rounds(near, lambda better, worse: torch.ones_like(better, dtype=torch.bool), most)


def rotated_nms(
    rectangles: Float[Tensor, "M 5"],
    overlap: Float[Tensor, " M"],
    group: Int[Tensor, " M"],
    most: int = 500,
) -> Int[Tensor, " kept"]:
    """Rotated NMS: indices of boxes that overlap no better box of their group too much.

    Args:
        rectangles: x, y, length, width (metres), yaw; best first.
        overlap: maximum intersection over union with each box, for boxes with a lower score.
        group: group of each box; boxes suppress boxes of their own group only.
        most: maximum number of kept boxes.
    """
    reach = rectangles[:, 2:4].norm(dim=1) / 2
    near = _distances(rectangles[:, :2]) < reach.unsqueeze(1) + reach
    near &= group.unsqueeze(1) == group

    def removes(better: Int[Tensor, " P"], worse: Int[Tensor, " P"]) -> Bool[Tensor, " P"]:
        # Compute exact overlaps only between kept boxes and their neighbours.
        return rotated_iou(rectangles[better], rectangles[worse]) > overlap[better]

    return _rounds(near, removes, most)


def _distances(centers: Float[Tensor, "M 2"]) -> Float[Tensor, "M M"]:
    """Pairwise distances, without the default matrix product, which is off by a millimetre."""
    return torch.cdist(centers, centers, compute_mode="donot_use_mm_for_euclid_dist")


def _rounds(
    near: Bool[Tensor, "M M"],
    removes: Callable[[Int[Tensor, " P"], Int[Tensor, " P"]], Bool[Tensor, " P"]],
    most: int,
) -> Int[Tensor, " kept"]:
    """Indices of the kept boxes, in rounds.

    Args:
        near: whether the box of the row could remove the box of the column, if it is better.
        removes: computes for pairs (better, worse) whether the better box removes the worse.
        most: maximum number of kept boxes.
    """
    better, worse = near.triu(diagonal=1).nonzero(as_tuple=True)
    keep = torch.ones(len(near), dtype=torch.bool)
    while len(better):
        decided = torch.ones_like(keep)
        decided[worse] = False
        now = decided[better]
        candidates = worse[now]
        keep[candidates[removes(better[now], candidates)]] = False
        later = ~now & keep[better] & keep[worse]
        better, worse = better[later], worse[later]
    return keep.nonzero().squeeze(1)[:most]


def rotated_iou(a: Float[Tensor, "M 5"], b: Float[Tensor, "M 5"]) -> Float[Tensor, " M"]:
    """Intersection over union of pairs of rotated rectangles (x, y, length, width, yaw).

    The corners of the intersection of two convex polygons are the corners of each that lie in the
    other, and the crossings of their edges. The area is computed from them, sorted by angle.
    """
    # Crossings far from the origin would lose precision: compute relative to the centre of ``a``.
    shift = torch.zeros_like(a)
    shift[:, :2] = a[:, :2]
    a, b = (a - shift).double(), (b - shift).double()
    corners_a, corners_b = _corners(a), _corners(b)
    crossings, crossed = _crossings(corners_a, corners_b)
    points = torch.cat([corners_a, corners_b, crossings], dim=1)
    valid = torch.cat([_inside(corners_a, b), _inside(corners_b, a), crossed], dim=1)

    count = valid.sum(dim=1, keepdim=True).clamp(min=1)
    middle = (points * valid.unsqueeze(-1)).sum(dim=1) / count
    around = torch.where(valid.unsqueeze(-1), points - middle.unsqueeze(1), 0)
    angle = torch.atan2(around[..., 1], around[..., 0]).masked_fill(~valid, torch.inf)
    order = angle.argsort(dim=1)
    ring = around.gather(1, order.unsqueeze(-1).expand(-1, -1, 2))
    # Invalid points are sorted last; replace them by the first point, so that they add no area.
    real = torch.arange(ring.shape[1], device=ring.device) < valid.sum(dim=1, keepdim=True)
    ring = torch.where(real.unsqueeze(-1), ring, ring[:, :1])
    following = ring.roll(-1, dims=1)
    cross = ring[..., 0] * following[..., 1] - ring[..., 1] * following[..., 0]
    intersection = cross.sum(dim=1).abs() / 2
    union = a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - intersection
    return (intersection / union.clamp(min=1e-9)).float()


def _corners(rectangles: Tensor) -> Tensor:
    """Corners (M, 4, 2), counter-clockwise."""
    signs = rectangles.new_tensor([[1, 1], [-1, 1], [-1, -1], [1, -1]]) / 2
    local = signs * rectangles[:, None, 2:4]
    cos, sin = rectangles[:, 4].cos(), rectangles[:, 4].sin()
    rotation = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    return local @ rotation.transpose(1, 2) + rectangles[:, None, :2]


def _inside(points: Tensor, rectangles: Tensor) -> Tensor:
    """Mask of the points (M, 4, 2) that lie in the rectangles (M, 5), border included."""
    cos, sin = rectangles[:, 4].cos(), rectangles[:, 4].sin()
    rotation = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    local = (points - rectangles[:, None, :2]) @ rotation
    return (local.abs() <= rectangles[:, None, 2:4] / 2 + 1e-9).all(dim=-1)


def _crossings(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Crossings (M, 16, 2) of the lines of the edges, and whether they lie on both edges."""
    start_a, start_b = a.unsqueeze(2), b.unsqueeze(1)
    edge_a = (a.roll(-1, dims=1) - a).unsqueeze(2)
    edge_b = (b.roll(-1, dims=1) - b).unsqueeze(1)
    between = start_b - start_a
    cross = edge_a[..., 0] * edge_b[..., 1] - edge_a[..., 1] * edge_b[..., 0]
    parallel = cross.abs() < 1e-12
    safe = torch.where(parallel, torch.ones_like(cross), cross)
    along_a = (between[..., 0] * edge_b[..., 1] - between[..., 1] * edge_b[..., 0]) / safe
    along_b = (between[..., 0] * edge_a[..., 1] - between[..., 1] * edge_a[..., 0]) / safe
    reached = ~parallel & (along_a >= 0) & (along_a <= 1) & (along_b >= 0) & (along_b <= 1)
    points = start_a + along_a.unsqueeze(-1) * edge_a
    return points.flatten(1, 2), reached.flatten(1, 2)

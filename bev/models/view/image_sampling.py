"""Image features read at points in space: project, then interpolate between feature cells.

The idea: a camera that sees a point reads four feature cells for it, with bilinear weights. So what
the points read is a sparse matrix (points x feature cells) times the features, the opposite way of
lift-splat's pooling, and one segment sum computes it: no tensor of points times cameras times
channels is built.
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from bev.errors import ConfigError
from bev.geometry import BevGrid, Cameras, apply_transform, feature_cells, in_view
from bev.geometry.grid import Axis
from bev.ops.weighted_sum import weighted_sum


class Sightings(NamedTuple):
    """S pairs of a point and a camera that sees it, in the order of the points' groups.

    Attributes:
        cell: (S, 4) feature cells around the pixel, rows of features flattened (B, N, h, w).
        weight: (S, 4) bilinear weights of these cells; they sum to 1.
        depth: (S,) of the point in the camera, metres.
        start: (B * G + 1,) where the sightings of each sample's groups begin, and their number.
    """

    cell: Int[Tensor, "S 4"]
    weight: Float[Tensor, "S 4"]
    depth: Float[Tensor, " S"]
    start: Int[Tensor, " starts"]


def planes(name: str, z: Axis) -> list[float]:
    """Heights in the middle of each cell of (lo, hi, step), metres.

    Raises:
        ConfigError: where the step is not positive or does not divide the range.
    """
    try:
        count = BevGrid(z=z).shape[0]
    except ValueError as error:
        raise ConfigError(
            f"{name} = {z} needs lo < hi and a step that divides the range."
        ) from error
    return [z[0] + (index + 0.5) * z[2] for index in range(count)]


def column_points(
    grid: BevGrid, heights: list[float], device: torch.device | str | None = None
) -> Float[Tensor, "YX Z 3"]:
    """Points above the centre of each cell, at each height (metres): cells run (Y, X)."""
    centers = grid.centers(device).flatten(0, 1)
    z = torch.tensor(heights, device=device).expand(len(centers), -1)
    return torch.cat([centers.unsqueeze(1).expand(-1, z.shape[1], -1), z.unsqueeze(-1)], dim=-1)


@torch.no_grad()
def find_sightings(
    points: Float[Tensor, "G P 3"],
    cameras: Cameras,
    bev_from_ego: Float[Tensor, "B 4 4"],
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Sightings:
    """Which cameras see the points, and what they read there.

    Seen is what lies before the camera and within its image; beyond the centres of the outermost
    feature cells these cells are read alone. The geometry is computed in the cameras' dtype, also
    under autocast: half precision would move far points by metres.

    Args:
        points: BEV frame, metres, in groups that are summed up together.
        cameras: (B, N).
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; centred in the image where they do not fill it.
        stride: pixels per cell.
    """
    rows, columns = feature_size
    batch, count = cameras.intrinsics.shape[:2]
    with torch.autocast(points.device.type, enabled=False):
        ego_from_bev = torch.inverse(bev_from_ego.to(cameras.intrinsics))
        flat = points.to(ego_from_bev).flatten(0, 1).expand(batch, -1, 3)
        in_ego = apply_transform(ego_from_bev, flat)
        pixels, depth = cameras.project(in_ego.unsqueeze(1).expand(-1, count, -1, -1))
    seen = in_view(pixels, depth, image_size)
    sample, point, camera = seen.transpose(1, 2).nonzero(as_tuple=True)
    where = (sample, camera, point)

    column, row = feature_cells(pixels[where], image_size, feature_size, stride).unbind(-1)
    left, right, across = _neighbours(column, columns)
    upper, lower, down = _neighbours(row, rows)
    image = (sample * count + camera) * rows
    upper, lower = (image + upper) * columns, (image + lower) * columns
    cell = torch.stack([upper + left, upper + right, lower + left, lower + right], dim=-1)
    rest, above = 1 - across, 1 - down
    weight = torch.stack([above * rest, above * across, down * rest, down * across], dim=-1)

    sightings = seen.sum(1).view(batch * len(points), -1).sum(1)
    return Sightings(cell, weight, depth[where], F.pad(sightings.cumsum(0), (1, 0)))


def _neighbours(
    place: Float[Tensor, " S"], cells: int
) -> tuple[Int[Tensor, " S"], Int[Tensor, " S"], Float[Tensor, " S"]]:
    """The two cells whose centres (integer + 0.5) are around a place; the second's weight."""
    place = (place - 0.5).clamp(0, cells - 1)
    first = place.floor().clamp(max=max(cells - 2, 0))
    second = (first + 1).clamp(max=cells - 1)
    return first.long(), second.long(), place - first


def sample_features(
    features: Float[Tensor, "B N C h w"], sightings: Sightings, factor: Float[Tensor, " S"]
) -> Float[Tensor, "B G C"]:
    """The sum of what each group's sightings read, each times its factor, in float32 or better."""
    batch = len(features)
    table = rearrange(features, "b n c h w -> (b n h w) c")
    dtype = torch.promote_types(table.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        weight = sightings.weight.to(dtype) * factor.to(dtype).unsqueeze(-1)
        sums = weighted_sum(table.to(dtype).contiguous(), sightings.cell, weight, sightings.start)
    return rearrange(sums, "(b g) c -> b g c", b=batch)

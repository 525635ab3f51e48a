"""Sampling of image features at 3D points: projection and bilinear interpolation.

Each pair of a point and a camera that sees it reads four feature cells with bilinear weights. The
sampled features are therefore a sparse matrix (points x feature cells) times the features, the
transpose of the pooling of lift-splat. One segment sum computes them, without a tensor of size
points x cameras x channels.
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
from bev.models.view.base import ViewTransform
from bev.ops.weighted_sum import weighted_sum


class Sightings(NamedTuple):
    """S pairs of a point and a camera that sees the point, in the order of the groups of points.

    Attributes:
        cell: (S, 4) indices of the feature cells around the pixel, into (B, N, h, w) flattened.
        weight: (S, 4) bilinear weights of these cells, which sum to 1.
        depth: (S,) depth of the point in the camera, metres.
        start: (B * G + 1,) first sighting of each group of each sample; the last entry is S.
    """

    cell: Int[Tensor, "S 4"]
    weight: Float[Tensor, "S 4"]
    depth: Float[Tensor, " S"]
    start: Int[Tensor, " starts"]


def planes(name: str, z: Axis) -> list[float]:
    """Centres of the cells of the range (lo, hi, step), metres.

    Raises:
        ConfigError: if the step is not positive or does not divide the range.
    """
    try:
        count = BevGrid(z=z).shape[0]
    except ConfigError as error:
        raise ConfigError(
            f"{name} = {z} needs lo < hi and a positive step that divides the range."
        ) from error
    return [z[0] + (index + 0.5) * z[2] for index in range(count)]


def column_points(
    grid: BevGrid, heights: list[float], device: torch.device | str | None = None
) -> Float[Tensor, "YX Z 3"]:
    """Points at each height (metres) above each cell centre; cells are ordered (Y, X)."""
    centers = grid.centers(device).flatten(0, 1)
    z = torch.tensor(heights, device=device).expand(len(centers), -1)
    return torch.cat([centers.unsqueeze(1).expand(-1, z.shape[1], -1), z.unsqueeze(-1)], dim=-1)


class ImageSampling(ViewTransform):
    """Base class of view transforms that sample the images at points above each cell.

    Attributes:
        grid: BEV grid.
        heights: heights of the points above each cell, metres.
        sums_columns: whether the points above a cell are one group; otherwise each is a group.
    """

    grid: BevGrid
    heights: list[float]
    sums_columns: bool

    def sightings(
        self,
        image_size: tuple[int, int],
        feature_size: tuple[int, int],
        cameras: Cameras,
        bev_from_ego: Float[Tensor, "B 4 4"],
    ) -> Sightings:
        """Find the cameras that see each point, see :func:`find_sightings`."""
        points = column_points(self.grid, self.heights, bev_from_ego.device)
        if not self.sums_columns:
            points = points.view(-1, 1, 3)
        return find_sightings(points, cameras, bev_from_ego, image_size, feature_size, self.stride)


@torch.no_grad()
def find_sightings(
    points: Float[Tensor, "G P 3"],
    cameras: Cameras,
    bev_from_ego: Float[Tensor, "B 4 4"],
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Sightings:
    """Find the cameras that see each point, and the feature cells to read.

    A camera sees the points in front of it and within its image. Beyond the centres of the
    outermost feature cells, these cells are extrapolated as constants. The geometry is computed in
    the dtype of the cameras, even under autocast: half precision would move far points by metres.

    Args:
        points: G groups of P points in the BEV frame, metres; groups are summed by
            :func:`sample_features`.
        cameras: (B, N) cameras.
        bev_from_ego: BEV augmentation.
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; the feature map is centred in the image if it does not fill it.
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
    position: Float[Tensor, " S"], cells: int
) -> tuple[Int[Tensor, " S"], Int[Tensor, " S"], Float[Tensor, " S"]]:
    """The two cells whose centres (integer + 0.5) enclose a position, and the second's weight."""
    position = (position - 0.5).clamp(0, cells - 1)
    first = position.floor().clamp(max=max(cells - 2, 0))
    second = (first + 1).clamp(max=cells - 1)
    return first.long(), second.long(), position - first


def sample_features(
    features: Float[Tensor, "B N C h w"], sightings: Sightings, factor: Float[Tensor, " S"]
) -> Float[Tensor, "B G C"]:
    """Sum the features sampled by the sightings of each group, weighted by ``factor``.

    Sums are in float32, or float64 for float64 features.
    """
    batch = len(features)
    table = rearrange(features, "b n c h w -> (b n h w) c")
    dtype = torch.promote_types(table.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        weight = sightings.weight.to(dtype) * factor.to(dtype).unsqueeze(-1)
        sums = weighted_sum(table.to(dtype).contiguous(), sightings.cell, weight, sightings.start)
    return rearrange(sums, "(b g) c -> b g c", b=batch)

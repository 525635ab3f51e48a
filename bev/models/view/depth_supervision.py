"""Depth supervision from lidar: the nearest point seen through each feature cell names its bin.

After Li et al., BEVDepth (2022), section 4.1.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from bev.geometry import Cameras, feature_cells, in_view
from bev.models.heads.losses import class_loss
from bev.models.view.depth_bins import DepthBins


@torch.no_grad()
def nearest_depth(
    points: Sequence[Float[Tensor, "_ 3"]],
    cameras: Cameras,
    image_size: tuple[int, int],
    feature_size: tuple[int, int],
    stride: float,
) -> Float[Tensor, "B N h w"]:
    """Depth (metres) of the nearest lidar point in each feature cell; infinite where none is.

    Args:
        points: one tensor a sample, ego frame.
        cameras: (B, N) cameras.
        image_size: (H, W), pixels.
        feature_size: (h, w), cells; centred in the image where they do not fill it.
        stride: pixels per cell.
    """
    rows, columns = feature_size
    batch, count = cameras.intrinsics.shape[:2]
    nearest = cameras.intrinsics.new_full((batch, count * rows * columns), torch.inf)
    for sample, own in enumerate(points):
        with torch.autocast(own.device.type, enabled=False):
            pixels, depth = cameras[sample].project(own.expand(count, -1, 3))
        cells = feature_cells(pixels, image_size, feature_size, stride)
        column, row = cells.floor().unbind(-1)
        seen = in_view(pixels, depth, image_size)
        seen &= (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        camera, point = seen.nonzero(as_tuple=True)
        row, column = row[camera, point].long(), column[camera, point].long()
        nearest[sample].scatter_reduce_(
            0, (camera * rows + row) * columns + column, depth[camera, point], "amin"
        )
    return nearest.view(batch, count, rows, columns)


def depth_loss(
    depth_logits: Float[Tensor, "B N h w D"],
    nearest: Float[Tensor, "B N h w"],
    bins: DepthBins,
    kind: str = "bce",
) -> Float[Tensor, ""]:
    """Mean loss over the cells with a lidar point within the bins' range, in float32.

    Args:
        depth_logits: before the softmax.
        nearest: metres, as :func:`nearest_depth` gives it.
        bins: the D depth bins.
        kind: "bce" as in BEVDepth, "ce" or "focal", see ``bev.models.heads.losses.class_loss``.
    """
    index = bins.index_of(nearest)
    known = index >= 0
    logits, target = depth_logits[known].float(), index[known]
    cells = max(len(target), 1)
    with torch.autocast(logits.device.type, enabled=False):
        return class_loss(logits, target, kind) / cells

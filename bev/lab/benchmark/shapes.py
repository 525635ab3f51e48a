"""Frustums of published settings, with the calibration of a real nuScenes car."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bev.geometry import BevGrid, Cameras, feature_pixels
from bev.lab.synthetic.rig import REAL_IMAGE_WIDTH, make_rig
from bev.models.view.depth_bins import DepthBins
from bev.models.view.lift_splat import frustum_points

_REAL_IMAGE_HEIGHT = 900


@dataclass(frozen=True)
class Shape:
    """One setting of the pooling.

    Attributes:
        name: name in the chart.
        image: size (H, W) of the network's images, pixels.
        stride: pixels per feature cell.
        depth: depth bins; points are at their near ends.
        channels: number of context channels.
        grid: BEV grid.
    """

    name: str
    image: tuple[int, int]
    stride: int
    depth: DepthBins
    channels: int
    grid: BevGrid

    def points(self, batch: int) -> Tensor:
        """Frustum points (B, 6, D, h, w, 3), BEV frame, metres."""
        height, width = (length // self.stride for length in self.image)
        pixels = feature_pixels(self.image, (height, width), self.stride)
        return frustum_points(
            pixels,
            self.depth.edges()[:-1],
            ring(self.image, batch),
            torch.eye(4).expand(batch, 4, 4),
        )


_NUSCENES = BevGrid((-51.2, 51.2, 0.8), (-51.2, 51.2, 0.8), (-5.0, 3.0, 8.0))
SHAPES = (
    Shape(
        "LSS D=41 8x22 C=64", (128, 352), 16, DepthBins(4.0, 45.0, 1.0), 64,
        BevGrid((-50.0, 50.0, 0.5), (-50.0, 50.0, 0.5), (-10.0, 10.0, 20.0)),
    ),
    Shape("BEVDet D=59 16x44 C=64", (256, 704), 16, DepthBins(1.0, 60.0, 1.0), 64, _NUSCENES),
    Shape("BEVDet D=59 16x44 C=80", (256, 704), 16, DepthBins(1.0, 60.0, 1.0), 80, _NUSCENES),
    Shape("BEVDepth D=112 16x44 C=80", (256, 704), 16, DepthBins(2.0, 58.0, 0.5), 80, _NUSCENES),
    Shape(
        "large D=118 40x110 C=80", (640, 1760), 16, DepthBins(1.0, 60.0, 0.5), 80,
        BevGrid((-51.2, 51.2, 0.4), (-51.2, 51.2, 0.4), (-5.0, 3.0, 8.0)),
    ),
)  # fmt: skip


def ring(image: tuple[int, int], batch: int) -> Cameras:
    """(B, 6) cameras of a real car for images of (H, W) pixels, cropped at the top."""
    rig = make_rig(np.random.default_rng(0), REAL_IMAGE_WIDTH)
    scale = image[1] / REAL_IMAGE_WIDTH
    top = image[0] - scale * _REAL_IMAGE_HEIGHT
    affine = torch.tensor([[scale, 0.0, 0.0], [0.0, scale, top], [0.0, 0.0, 1.0]])
    matrices = [mount.intrinsic for mount in rig.cameras if mount.intrinsic is not None]
    intrinsics = torch.tensor(np.stack(matrices)).float()
    ego_from_camera = torch.tensor(np.stack([m.ego_from_sensor for m in rig.cameras])).float()
    return Cameras(
        intrinsics.expand(batch, *intrinsics.shape),
        ego_from_camera.expand(batch, *ego_from_camera.shape),
        affine.expand(batch, 6, 3, 3),
    )

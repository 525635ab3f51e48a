"""Inputs of heads for tests without a detector: feature specs, features and batches."""

import torch

from bev.data.batch import Batch, Views
from bev.data.labels import LabelSpace
from bev.data.nuscenes.classes import NUSCENES
from bev.geometry import BevGrid, Cameras
from bev.models import Features, FeatureSpec


def spec(
    channels: int, grid: BevGrid, labels: LabelSpace = NUSCENES, stride: float = 8
) -> FeatureSpec:
    """Feature spec with the same number of BEV and image channels."""
    return FeatureSpec(channels, grid, labels, channels, stride)


def features(bev: torch.Tensor) -> Features:
    """Features with a BEV map and placeholders for the rest."""
    return Features(bev, bev.new_zeros(len(bev), 1, 1, 1, 1), None)


def gt_batch(boxes=(), polygons=()) -> Batch:
    """A batch with ground truth and images of one pixel."""
    count = max(len(boxes), len(polygons))
    eye = torch.eye(4).expand(count, 1, 4, 4)
    cameras = Cameras(eye[..., :3, :3], eye, eye[..., :3, :3])
    images = torch.zeros(count, 1, 3, 1, 1, dtype=torch.uint8)
    return Batch(
        views=Views(images, cameras, [str(i) for i in range(count)]),
        bev_from_ego=torch.eye(4).expand(count, 4, 4),
        boxes=list(boxes),
        lidar=[],
        global_from_ego=torch.eye(4, dtype=torch.float64).expand(count, 4, 4),
        polygons=list(polygons),
    )

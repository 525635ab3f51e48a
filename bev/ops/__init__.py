"""Voxel pooling: from depth distributions and image features to a BEV grid."""

from bev.ops.voxel_plan import VoxelPlan
from bev.ops.voxel_pool import voxel_pool

__all__ = ["VoxelPlan", "voxel_pool"]

"""Geometry: rigid transforms, cameras and lenses, the BEV grid, 3D boxes and polygons.

Frames are right-handed and metric. ``ego``: x forward, y left, z up, origin on the ground below
the rear axle. ``camera``: x right, y down, z forward. A matrix named ``target_from_source`` maps
homogeneous points of the source frame to the target frame.
"""

from bev.geometry.boxes import Boxes3D
from bev.geometry.cameras import Cameras, feature_cells, feature_pixels, in_view
from bev.geometry.fisheye import KannalaBrandt
from bev.geometry.grid import BevGrid
from bev.geometry.image_affine import image_affine
from bev.geometry.lens import Lens, MixedLens, Pinhole, stack_lenses
from bev.geometry.polygons import Polygons, covered
from bev.geometry.radial_tangential import RadialTangential
from bev.geometry.transforms import (
    apply_transform,
    bev_transform,
    inverse_rigid,
    is_rigid,
    rigid_fault,
    rigid_transform,
    rotation_z,
)

__all__ = [
    "BevGrid",
    "Boxes3D",
    "Cameras",
    "KannalaBrandt",
    "Lens",
    "MixedLens",
    "Polygons",
    "Pinhole",
    "RadialTangential",
    "apply_transform",
    "bev_transform",
    "covered",
    "feature_cells",
    "feature_pixels",
    "image_affine",
    "in_view",
    "inverse_rigid",
    "is_rigid",
    "rigid_fault",
    "rigid_transform",
    "rotation_z",
    "stack_lenses",
]

"""The model, room by room: backbone, neck, view transform, BEV encoder, head, detector.

Nothing here imports Lightning: every module works in a plain PyTorch loop.
"""

from bev.models.backbone import BackboneConfig
from bev.models.bev_encoder import BevEncoderConfig
from bev.models.camera_aware import CameraAwareDepthNetConfig
from bev.models.center_decode import DecodeConfig
from bev.models.center_head import CenterHeadConfig
from bev.models.depth_bins import DepthBins
from bev.models.depth_net import ConvDepthNetConfig, DepthNetConfig, UniformDepthConfig
from bev.models.detector import Detector, DetectorConfig
from bev.models.feature_cache import FeatureCache
from bev.models.losses import HeatmapLoss
from bev.models.neck import FpnConfig, JoinedNeckConfig, NeckConfig, SecondFpnConfig
from bev.models.refinement import RefinedLiftSplatConfig
from bev.models.second_encoder import SecondEncoderConfig
from bev.models.segmentation_head import SegmentationHeadConfig
from bev.models.temporal import TemporalConfig
from bev.models.view import ViewTransformConfig
from bev.models.view_transform import LiftSplatConfig
from bev.models.voxel_sampling import VoxelSamplingConfig

__all__ = [
    "BackboneConfig",
    "BevEncoderConfig",
    "CameraAwareDepthNetConfig",
    "CenterHeadConfig",
    "ConvDepthNetConfig",
    "DecodeConfig",
    "DepthBins",
    "DepthNetConfig",
    "Detector",
    "DetectorConfig",
    "FeatureCache",
    "FpnConfig",
    "HeatmapLoss",
    "JoinedNeckConfig",
    "LiftSplatConfig",
    "NeckConfig",
    "RefinedLiftSplatConfig",
    "SecondEncoderConfig",
    "SecondFpnConfig",
    "SegmentationHeadConfig",
    "TemporalConfig",
    "UniformDepthConfig",
    "ViewTransformConfig",
    "VoxelSamplingConfig",
]

"""Detector and its parts: backbone, neck, view transform, BEV encoder, heads.

The modules do not import Lightning and work in a plain PyTorch training loop.
"""

from bev.models.bev.encoder import BevEncoderConfig
from bev.models.bev.second import SECONDEncoderConfig
from bev.models.bev.temporal import TemporalConfig
from bev.models.detector import Detector, DetectorConfig
from bev.models.feature_cache import FeatureCache
from bev.models.heads.base import Features, FeatureSpec, Head, HeadConfig
from bev.models.heads.center.decode import DecodeConfig
from bev.models.heads.center.head import CenterHeadConfig
from bev.models.heads.depth import DepthSupervisionConfig
from bev.models.heads.image import ImageClassHeadConfig
from bev.models.heads.losses import HeatmapLoss
from bev.models.heads.segmentation import SegmentationHeadConfig
from bev.models.image.backbone import BackboneConfig
from bev.models.image.neck import ConcatNeckConfig, FpnConfig, NeckConfig, SECONDFPNConfig
from bev.models.view.base import ViewTransformConfig
from bev.models.view.camera_aware import CameraAwareDepthNetConfig
from bev.models.view.depth_bins import DepthBinning, DepthBins, ListedDepthBins
from bev.models.view.depth_net import ConvDepthNetConfig, DepthNetConfig, UniformDepthConfig
from bev.models.view.dual_view import DualViewTransformConfig
from bev.models.view.lift_splat import LiftSplatConfig
from bev.models.view.voxel_sampling import VoxelSamplingConfig

__all__ = [
    "BackboneConfig",
    "BevEncoderConfig",
    "CameraAwareDepthNetConfig",
    "CenterHeadConfig",
    "ConvDepthNetConfig",
    "DecodeConfig",
    "DepthBinning",
    "DepthBins",
    "DepthNetConfig",
    "DepthSupervisionConfig",
    "Detector",
    "DetectorConfig",
    "FeatureCache",
    "FeatureSpec",
    "Features",
    "FpnConfig",
    "Head",
    "HeadConfig",
    "HeatmapLoss",
    "ImageClassHeadConfig",
    "ConcatNeckConfig",
    "LiftSplatConfig",
    "ListedDepthBins",
    "NeckConfig",
    "DualViewTransformConfig",
    "SECONDEncoderConfig",
    "SECONDFPNConfig",
    "SegmentationHeadConfig",
    "TemporalConfig",
    "UniformDepthConfig",
    "ViewTransformConfig",
    "VoxelSamplingConfig",
]

"""The model, room by room: backbone, neck, view transform, BEV encoder, head, detector.

Nothing here imports Lightning: every module works in a plain PyTorch loop.
"""

from bev.models.backbone import BackboneConfig
from bev.models.bev_encoder import BevEncoderConfig
from bev.models.center_decode import DecodeConfig
from bev.models.center_head import CenterHeadConfig
from bev.models.detector import Detector, DetectorConfig
from bev.models.feature_cache import FeatureCache
from bev.models.neck import FpnConfig
from bev.models.temporal import TemporalConfig
from bev.models.view_transform import LiftSplatConfig, ViewTransformConfig

__all__ = [
    "BackboneConfig",
    "BevEncoderConfig",
    "CenterHeadConfig",
    "DecodeConfig",
    "Detector",
    "DetectorConfig",
    "FeatureCache",
    "FpnConfig",
    "LiftSplatConfig",
    "TemporalConfig",
    "ViewTransformConfig",
]

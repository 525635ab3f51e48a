"""Detection on images of one's own: a trained model, images and their calibration to boxes."""

from bev.inference.detections import DetectedBox, Detections
from bev.inference.detector import BoxDetector, load_detector
from bev.inference.sequence import detect_frames
from bev.inference.stream import DetectionStream

__all__ = [
    "BoxDetector",
    "DetectedBox",
    "DetectionStream",
    "Detections",
    "detect_frames",
    "load_detector",
]

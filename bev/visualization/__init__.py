"""Pictures: boxes on cameras and on the BEV, sheets of a sample, calibration checks, video.

Images are numpy arrays (H, W, 3), uint8, RGB.
"""

from bev.visualization.areas import AreaMaps, area_maps
from bev.visualization.bev_view import BevView, draw_bev
from bev.visualization.camera_view import draw_boxes, scaled_camera, upright_corners
from bev.visualization.canvas import load_image, save_png
from bev.visualization.check import draw_check
from bev.visualization.colors import CLASS_COLORS
from bev.visualization.sheet import draw_sheet
from bev.visualization.video import write_video

__all__ = [
    "CLASS_COLORS",
    "AreaMaps",
    "BevView",
    "area_maps",
    "draw_bev",
    "draw_boxes",
    "draw_check",
    "draw_sheet",
    "load_image",
    "save_png",
    "scaled_camera",
    "upright_corners",
    "write_video",
]

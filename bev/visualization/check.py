"""Picture to check the calibration: lidar points in all images and in the BEV.

The same points are projected by the matrices of each camera and into the BEV. If poses, their order
or the intrinsics are wrong, edges in the points do not match edges in the images.
"""

from collections.abc import Sequence

import numpy as np
import torch

from bev.data.frame import Frame
from bev.visualization.bev_view import BevView, draw_bev
from bev.visualization.camera_view import depth_colors, draw_boxes, draw_points, scaled_camera
from bev.visualization.composition import (
    camera_tile,
    draw_depth_scale,
    draw_header,
    place_bev,
    place_tile,
    start_sheet,
)

_FARTHEST = 50.0


def draw_check(
    frame: Frame, images: Sequence[np.ndarray] | None = None, *, camera_width: int = 480
) -> np.ndarray:
    """Draw lidar points, coloured by depth, and annotated boxes in all images and in the BEV.

    For a rig without lidar only the boxes are drawn, including boxes without points.

    Args:
        frame: key frame.
        images: (H, W, 3) uint8 RGB in the order of ``frame.cameras``; read from the image files by
            default.
        camera_width: width of each camera image, pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: if the lidar file or an image file is missing or damaged.
    """
    has_lidar = frame.lidar_path is not None
    lidar = frame.load_lidar() if has_lidar else torch.zeros(0, 3)
    gt_boxes = frame.boxes[frame.counted(1)] if has_lidar else frame.boxes
    layout, sheet = start_sheet(frame, camera_width)
    for index, camera in enumerate(frame.cameras):
        tile = camera_tile(frame, index, images, layout)
        entry = scaled_camera(camera, (tile.shape[0], tile.shape[1]))
        draw_points(tile, entry, lidar, _FARTHEST)
        draw_boxes(tile, entry, gt_boxes, ground_truth=True, global_from_ego=frame.global_from_ego)
        place_tile(sheet, layout, index, tile, camera.name)
    distance = lidar[:, :2].norm(dim=1).numpy()
    colors = depth_colors(distance, _FARTHEST)
    view = BevView(layout.bev_pixels)
    place_bev(sheet, layout, draw_bev(view, gt_boxes=gt_boxes, lidar=lidar, lidar_colors=colors))
    points = f"{len(lidar)} lidar points" if has_lidar else "no LIDAR_TOP"
    note = f"{points} · {len(gt_boxes)} annotated boxes"
    draw_header(sheet, layout, frame, "Calibration check", note)
    if has_lidar:
        bar = depth_colors(np.linspace(0, _FARTHEST, 220), _FARTHEST)
        draw_depth_scale(sheet, layout, bar, _FARTHEST)
    return sheet

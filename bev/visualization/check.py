"""Picture to check calibration and crop: lidar points in images, the network's views and the BEV.

The same points are projected by the matrices of each camera and into the BEV. If poses, their order
or the intrinsics are wrong, edges in the points do not match edges in the images. The network's
view of an image, below it, has the same points and boxes, by the matrices that the network gets.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.batch import Views
from bev.data.frame import Frame
from bev.geometry import Boxes3D, Cameras, apply_transform, inverse_rigid
from bev.visualization.bev_view import BevView, draw_bev
from bev.visualization.camera_view import depth_colors, draw_boxes, draw_points, scaled_camera
from bev.visualization.canvas import draw_segments
from bev.visualization.colors import DARK, Color, Theme
from bev.visualization.composition import (
    camera_tile,
    draw_depth_scale,
    draw_header,
    place_bev,
    place_tile,
    tile_size,
)
from bev.visualization.layout import GAP, sheet_layout
from bev.visualization.sight import sight_of

_FARTHEST = 50.0
_CROP: Color = (255, 255, 255)
HORIZON: Color = (255, 111, 186)
_HORIZON_AT = 1e5  # metres
_HORIZON_STEPS = np.radians(np.arange(-100, 101, 4))  # from the viewing direction


def draw_check(
    frame: Frame,
    images: Sequence[np.ndarray] | None = None,
    views: Views | None = None,
    *,
    camera_width: int = 480,
    theme: Theme = DARK,
) -> np.ndarray:
    """Draw lidar points, coloured by depth, and annotated boxes in all images and in the BEV.

    For a rig without lidar only the boxes are drawn, including boxes without points; where the
    lidar file is missing, the boxes with points.

    Args:
        frame: key frame.
        images: (H, W, 3) uint8 RGB in the order of ``frame.cameras``; read from the image files by
            default.
        views: the network's views of this frame alone, to draw each below its image, in which its
            border is drawn, and the horizon.
        camera_width: width of each camera image, pixels.
        theme: colours of everything but photographs and points.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: if an image file is missing, or it or the lidar file is damaged.
    """
    has_lidar = frame.has_lidar
    lidar = frame.load_lidar() if has_lidar else torch.zeros(0, 3)
    gt_boxes = frame.boxes if frame.lidar_path is None else frame.boxes[frame.counted(1)]
    pose = frame.global_from_ego
    above = tile_size(frame, camera_width)
    shape = None if views is None else views.image_size
    below = (round(camera_width * shape[0] / shape[1]), camera_width) if shape else (0, 0)
    height = above[0] + (GAP + below[0] if shape else 0)
    layout = sheet_layout([c.name for c in frame.cameras], height / camera_width, camera_width)
    sheet = np.full((*layout.size, 3), theme.background, np.uint8)
    for index, camera in enumerate(frame.cameras):
        tile = camera_tile(frame, index, images, above)
        entry = scaled_camera(camera, (tile.shape[0], tile.shape[1]))
        _draw(tile, entry, lidar, gt_boxes, pose, theme)
        if views is not None:
            given, seen = _network_view(views, index, below)
            _draw(given, seen, lidar, gt_boxes, pose, theme)
            for picture, drawn in ((tile, entry), (given, seen)):
                size = (picture.shape[0], picture.shape[1])
                draw_segments(picture, horizon_lines(drawn, size), HORIZON)
            border = entry.image_from_original @ torch.linalg.inv(seen.image_from_original)
            draw_segments(tile, _outline(border, below), _CROP)
            tile = stacked(tile, given, layout.tile, theme)
        place_tile(sheet, layout, index, tile, camera.name, theme)
    distance = lidar[:, :2].norm(dim=1).numpy()
    colors = depth_colors(distance, _FARTHEST)
    view = BevView(layout.bev_pixels)
    bev = draw_bev(view, gt_boxes=gt_boxes, lidar=lidar, lidar_colors=colors, theme=theme)
    place_bev(sheet, layout, bev)
    none = "no lidar" if frame.lidar_path is None else "lidar file missing"
    points = f"{len(lidar)} lidar points" if has_lidar else none
    note = f"{points} · {len(gt_boxes)} annotated boxes"
    if shape:
        note += f" · below each image the network's {shape[1]}x{shape[0]}, and the horizon"
    draw_header(sheet, layout, frame, "Calibration check", note, theme)
    if has_lidar:
        bar = depth_colors(np.linspace(0, _FARTHEST, 220), _FARTHEST)
        draw_depth_scale(sheet, layout, bar, _FARTHEST, theme)
    return sheet


def horizon_lines(camera: Cameras, size: tuple[int, int]) -> np.ndarray:
    """Horizon in an image of ``size`` (height, width), as segments (S, 2, 2) in pixels."""
    pose = camera.ego_from_camera.double()
    middle = torch.atan2(pose[1, 2], pose[0, 2]).item()
    azimuth = middle + _HORIZON_STEPS
    level = [np.cos(azimuth), np.sin(azimuth), np.zeros_like(azimuth)]
    points = pose[:3, 3] + _HORIZON_AT * torch.from_numpy(np.stack(level, axis=1))
    ring = apply_transform(inverse_rigid(pose), points).numpy()
    return sight_of(camera, size).lines(np.stack([ring[:-1], ring[1:]], axis=1))


def _draw(
    image: np.ndarray,
    camera: Cameras,
    lidar: Float[Tensor, "P 3"],
    boxes: Boxes3D,
    pose: Float[Tensor, "4 4"],
    theme: Theme,
) -> None:
    draw_points(image, camera, lidar, _FARTHEST)
    draw_boxes(image, camera, boxes, ground_truth=True, global_from_ego=pose, theme=theme)


def _network_view(views: Views, index: int, size: tuple[int, int]) -> tuple[np.ndarray, Cameras]:
    """Image that the network is given, scaled to (height, width), and its camera."""
    image, camera = views.images[0, index], views.cameras[0, index].to(torch.float64)
    rows, columns = size[0] / image.shape[1], size[1] / image.shape[2]
    scale = torch.diag(torch.tensor([columns, rows, 1.0], dtype=torch.float64))
    method = cv2.INTER_AREA if columns < 1 else cv2.INTER_LINEAR
    pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    scaled = cv2.resize(pixels, size[::-1], interpolation=method)
    matrix = scale @ camera.image_from_original
    return scaled, Cameras(camera.intrinsics, camera.ego_from_camera, matrix, camera.lens)


def _outline(matrix: Float[Tensor, "3 3"], size: tuple[int, int]) -> np.ndarray:
    """Border (4, 2, 2) of an image of ``size`` (height, width), through an affine matrix."""
    height, width = size
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]])
    corners = (corners @ matrix.double().numpy().T)[:, :2]
    return np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)


def stacked(
    above: np.ndarray, below: np.ndarray, size: tuple[int, int], theme: Theme
) -> np.ndarray:
    """One picture above the other at the bottom, both centred, on a tile of (height, width)."""
    tile = np.full((*size, 3), theme.background, np.uint8)
    for picture, top in ((above, 0), (below, size[0] - below.shape[0])):
        left = (size[1] - picture.shape[1]) // 2
        tile[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return tile

"""Images of cameras on planes; images of lenses that bend lines are straightened first."""

import math

import cv2
import numpy as np
import torch

from bev.data.frame import Frame
from bev.geometry import Cameras
from bev.visualization.camera_view import scaled_camera
from bev.visualization.composition import camera_tile
from bev.visualization.viewer.contents import CameraPicture

_QUALITY = 82  # of JPEG
_WIDEST = math.tan(math.radians(60))  # border of a straightened image on the plane z = 1

Border = tuple[float, float, float, float]


def camera_picture(frame: Frame, index: int, width: int) -> CameraPicture:
    """The image of one camera of a frame, scaled to a width.

    Raises:
        DataError: if the image file is missing or damaged.
    """
    camera = frame.cameras[index]
    height = max(round(width * camera.size[0] / camera.size[1]), 1)
    tile = camera_tile(frame, index, None, (height, width))
    view = scaled_camera(camera, (tile.shape[0], tile.shape[1]))
    if camera.lens.straight:
        corners = torch.tensor([[0.0, 0.0, 1.0], [tile.shape[1], tile.shape[0], 1.0]])
        plane = corners.double() @ torch.linalg.inv(view.image_from_camera).T
        (left, top), (right, bottom) = (plane[:, :2] / plane[:, 2:]).tolist()
        border: Border = (left, top, right, bottom)
    else:
        tile, border = straightened(tile, view)
    pixels = cv2.cvtColor(tile, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise OSError(f"OpenCV could not encode the image of {camera.name}.")
    pose = camera.ego_from_camera.double().numpy()
    return CameraPicture(camera.name, pose, border, data.tobytes())


def straightened(image: np.ndarray, camera: Cameras) -> tuple[np.ndarray, Border]:
    """Resample an image as a pinhole camera at the same place would take it.

    Args:
        image: (H, W, 3) uint8 RGB.
        camera: its camera, with any lens.

    Returns:
        The image, of the same width, and its left, top, right and bottom on the plane z = 1; at
        most 60 degrees from the optical axis to each side. Black outside the field of view.
    """
    height, width = image.shape[:2]
    y, x = np.mgrid[0 : height + 1 : height / 64, 0 : width + 1 : width / 64]
    pixels = torch.from_numpy(np.stack([x, y], axis=-1).reshape(-1, 2))
    rays = camera.rays(pixels).numpy()
    rays = rays[np.isfinite(rays).all(axis=1) & (rays[:, 2] > 1e-3 * np.abs(rays).max(axis=1))]
    plane = np.clip(rays[:, :2] / rays[:, 2:], -_WIDEST, _WIDEST)
    (left, top), (right, bottom) = plane.min(axis=0).tolist(), plane.max(axis=0).tolist()
    rows = max(round(width * (bottom - top) / (right - left)), 1)
    across = left + (np.arange(width) + 0.5) * (right - left) / width
    down = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    points = np.stack([*np.meshgrid(across, down), np.ones((rows, width))], axis=-1)
    on_lens, depth = camera.lens.project(torch.from_numpy(points.reshape(-1, 3)))
    found = on_lens @ camera.image_from_camera.T
    found = torch.where((depth > 0)[:, None], found[:, :2] / found[:, 2:], -2.0)
    places = (found.numpy() - 0.5).reshape(rows, width, 2).astype(np.float32)
    straight = cv2.remap(image, places[..., 0], places[..., 1], cv2.INTER_LINEAR)
    return np.asarray(straight), (left, top, right, bottom)

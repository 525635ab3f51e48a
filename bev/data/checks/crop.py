"""Check of the network's view: what the crop of each camera's images leaves out.

The crop is that of evaluation, the middle one of the random crops in training.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from bev.data.augmentation import BevAugmentation, ImageAugmentation, draw
from bev.data.frame import CameraFrame, Frame
from bev.data.images.crop import horizon_row
from bev.data.settings import DataConfig
from bev.geometry import Boxes3D, Cameras
from bev.geometry.cameras import NEAREST

_FRAMES = 24  # frames that are read, spread over the split
_MOST_OUTSIDE = 1 / 3


def crop_of(camera: CameraFrame, image: ImageAugmentation, size: tuple[int, int]) -> Tensor:
    """(3, 3) matrix from original pixels to those of the network's image, without augmentation.

    Args:
        camera: camera of the image.
        image: settings without randomness, :meth:`ImageAugmentation.still`.
        size: (H, W) of the network's image, pixels.
    """
    rng, horizons = np.random.default_rng(0), [image.horizon_of(camera)]
    drawn = draw(image, BevAugmentation.off(), [camera.size], size, rng, horizons)
    return drawn.image_from_original[0]


def crop_warnings(frames: Sequence[Frame], data: DataConfig) -> list[str]:
    """Sentences about the cameras whose crop leaves out what the network needs.

    That is the row of the principal point (of lenses that keep straight lines straight), the
    horizon, or more than a third of the pixels of the ground-truth boxes in the camera's images. At
    most one sentence per camera.

    Args:
        frames: key frames of a split; some of them are read.
        data: data settings.
    """
    cameras: dict[str, CameraFrame] = {}
    whole: dict[str, float] = defaultdict(float)
    inside: dict[str, float] = defaultdict(float)
    image, size = data.image_augmentation.still(data.test_scale), data.image_size
    chosen = np.unique(np.linspace(0, len(frames) - 1, min(_FRAMES, len(frames))).round())
    for index in chosen.astype(int).tolist():
        frame = frames[index]
        boxes = frame.boxes[frame.counted(data.min_points)]
        for camera in frame.cameras:
            cameras.setdefault(camera.name, camera)
            pixels = box_pixels(boxes, camera, crop_of(camera, image, size), size)
            whole[camera.name] += pixels[0]
            inside[camera.name] += pixels[1]
    advice = (
        "; compare the network's view with the image (bevlab visualize CONFIG --check), and set"
        " --data.image-size to the images' shape or --data.image-augmentation.crop-top"
    )
    if not data.image_augmentation.horizon:
        advice += " or .horizon"
    warnings = []
    for name, camera in cameras.items():
        lost = list(_rows_left_out(camera, crop_of(camera, image, size), size[0]))
        if whole[name] and (share := 1 - inside[name] / whole[name]) > _MOST_OUTSIDE:
            lost.append(f"{share:.0%} of the boxes' pixels")
        if lost:
            height, width = size
            warnings.append(
                f"The crop of camera {name} ({camera.size[1]}x{camera.size[0]} to {width}x{height})"
                f" leaves out {' and '.join(lost)}{advice}."
            )
    return warnings


def _rows_left_out(camera: CameraFrame, crop: Tensor, height: int) -> Iterator[str]:
    def outside(row: float) -> bool:
        return not 0 <= float(crop[1, 1]) * row + float(crop[1, 2]) <= height

    horizon, principal = horizon_row(camera), float(camera.intrinsics[1, 2])
    if 0 <= horizon <= camera.size[0] and outside(horizon):
        yield f"the horizon (row {horizon:.0f})"
    if camera.lens.straight and outside(principal):
        yield f"the row of the principal point ({principal:.0f})"


def box_pixels(
    boxes: Boxes3D, camera: CameraFrame, crop: Tensor, size: tuple[int, int]
) -> tuple[float, float]:
    """Pixels of the original image that boxes cover, and those of them that the crop keeps.

    A box covers the rectangle around its corners, cut off at the borders of the image. Boxes with a
    corner out of view are left out, and pixels of overlapping boxes count several times.

    Args:
        boxes: boxes in the ego frame.
        camera: camera of the image.
        crop: (3, 3) matrix without rotation and flip, see :func:`crop_of`.
        size: (H, W) of the cropped image, pixels.
    """
    if not len(boxes):
        return 0.0, 0.0
    identity = torch.eye(3, dtype=torch.float64)
    entry = Cameras(camera.intrinsics, camera.ego_from_camera, identity, camera.lens)
    pixels, depth = entry.project(boxes.double().corners().reshape(-1, 3))
    in_front = (depth > NEAREST).reshape(-1, 8).all(dim=1)
    corners = pixels.reshape(-1, 8, 2)[in_front].numpy()
    if not len(corners):
        return 0.0, 0.0
    low, high = corners.min(axis=1), corners.max(axis=1)
    ends = np.array([[0, 0, 1], [*size[::-1], 1]]) @ np.linalg.inv(crop.numpy()).T
    image = np.array([[0, 0], camera.size[::-1]], float)
    window = np.clip(ends[:, :2], *image)
    areas = [
        np.prod(np.maximum(np.clip(high, *place) - np.clip(low, *place), 0), axis=1).sum()
        for place in (image, window)
    ]
    return float(areas[0]), float(areas[1])

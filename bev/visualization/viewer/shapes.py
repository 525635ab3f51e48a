"""Geometry of what the viewer draws: lines of boxes, tracks, frustums and rings, as arrays."""

import math

import numpy as np
import torch
from jaxtyping import Float, Int

from bev.geometry import Boxes3D
from bev.visualization.camera_view import EDGES, FRONT_CROSS, upright_corners
from bev.visualization.viewer.contents import BoxTable, CameraPicture, Recording

RINGS = (10, 20, 30, 40, 50)  # metres
Segments = Float[np.ndarray, "S 2 3"]


def corners(
    boxes: BoxTable, scene_from_ego: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "M 8 3"]:
    """Corners of boxes, which are level in the scene, in the ego frame; order of ``Boxes3D``."""
    tensors = (torch.from_numpy(one) for one in (boxes.center, boxes.size, boxes.yaw))
    return upright_corners(Boxes3D.make(*tensors), torch.from_numpy(scene_from_ego)).numpy()


def rotations(corners: Float[np.ndarray, "M 8 3"]) -> Float[np.ndarray, "M 3 3"]:
    """Rotation of each box: its length, width and height run along the columns."""
    axes = np.stack([corners[:, 0] - corners[:, at] for at in (4, 1, 3)], axis=-1)
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


def box_lines(corners: Float[np.ndarray, "M 8 3"], crossed: bool) -> Float[np.ndarray, "M L 2 3"]:
    """Edges of each box, and if asked for the diagonals of its front face."""
    return corners[:, np.concatenate([EDGES, FRONT_CROSS]) if crossed else EDGES]


def front_faces(
    corners: Float[np.ndarray, "M 8 3"],
) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
    """Vertices and triangles of the front faces."""
    first = 4 * np.arange(len(corners))[:, None, None]
    faces = (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    return corners[:, :4].reshape(-1, 3), faces


def frustum(camera: CameraPicture, distance: float) -> Float[np.ndarray, "8 2 3"]:
    """Lines from a camera to the corners of its image, and the border of the image; ego frame."""
    left, top, right, bottom = camera.border
    rays = np.array([[left, top, 1], [right, top, 1], [right, bottom, 1], [left, bottom, 1]])
    ends = distance * rays
    start = np.zeros_like(ends)
    lines = np.concatenate([np.stack([start, ends], 1), np.stack([ends, np.roll(ends, -1, 0)], 1)])
    return moved(camera.ego_from_camera, lines)


def track_lines(
    recording: Recording, moment: int, layer: int, seconds: float
) -> tuple[Segments, Int[np.ndarray, " S"]]:
    """Paths of the tracked objects of a moment over the seconds before it.

    Returns:
        Segments in the ego frame of the moment, and the class of each.
    """
    now = recording.moments[moment]
    ego_from_scene = np.linalg.inv(now.scene_from_ego)
    label = dict(zip(now.boxes[layer].track.tolist(), now.boxes[layer].label.tolist(), strict=True))
    label.pop(-1, None)
    later: dict[int, np.ndarray] = {}
    lines, labels = [], []
    for place in range(moment, -1, -1):
        one = recording.moments[place]
        if now.seconds - one.seconds > seconds:
            break
        boxes = one.boxes[layer]
        centers = moved(ego_from_scene @ one.scene_from_ego, boxes.center)
        for track, center in zip(boxes.track.tolist(), centers, strict=True):
            if track in label:
                if track in later:
                    lines.append([center, later[track]])
                    labels.append(label[track])
                later[track] = center
    return np.array(lines, np.float64).reshape(-1, 2, 3), np.array(labels, np.int64)


def ring_lines(radius: float) -> Segments:
    """A circle on the ground around the ego vehicle."""
    angle = np.linspace(0, 2 * math.pi, 97)
    points = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1) * radius
    return np.stack([points[:-1], points[1:]], axis=1)


def moved(
    target_from_source: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "*n 3"]
) -> Float[np.ndarray, "*n 3"]:
    """Transform points of the source frame into the target frame."""
    return points @ target_from_source[:3, :3].T + target_from_source[:3, 3]

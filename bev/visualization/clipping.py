"""Clipping of lines and faces to the view of a pinhole camera, before projection.

The view of a pinhole camera is an intersection of half-spaces of the camera frame: in front of a
near plane, and inside each border of the image. A clipped box that extends from beside the ego
vehicle to behind the camera is drawn as far as it is visible; without clipping it would be dropped,
or smeared over the picture.
"""

import numpy as np

NEAR = 0.1  # metres


def view_planes(
    image_from_camera: np.ndarray, size: tuple[int, int], margin: float = 8.0, near: float = NEAR
) -> np.ndarray:
    """Half-spaces ``a x + b y + c z >= d`` of the view of a camera.

    Args:
        image_from_camera: (3, 3) matrix from camera coordinates to homogeneous pixels, last row (0,
            0, 1).
        size: (height, width) of the image, pixels.
        margin: margin around the image that counts as visible, pixels; ends of thick lines thus
            stay outside of the image.
        near: distance of the near plane from the camera, metres.

    Returns:
        (5, 4) rows (a, b, c, d).
    """
    height, width = size
    x, y, z = np.asarray(image_from_camera, dtype=np.float64)
    planes = [
        z,
        x + margin * z,
        (width + margin) * z - x,
        y + margin * z,
        (height + margin) * z - y,
    ]
    return np.column_stack([planes, [near, 0, 0, 0, 0]])


def clip_segments(segments: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Clip segments (S, 2, 3) to all half-spaces; returns (S', 2, 3)."""
    segments = np.asarray(segments, dtype=np.float64).reshape(-1, 2, 3)
    first, second = np.moveaxis(segments @ planes[:, :3].T - planes[:, 3], 1, 0)
    before, after = first < 0, second < 0
    if not (before.any() or after.any()):
        return segments
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = first / (first - second)
    start = np.where(before, crossing, 0.0).max(axis=1)
    end = np.where(after, crossing, 1.0).min(axis=1)
    visible = (end > start) & ~(before & after).any(axis=1)
    along = np.stack([start, end], axis=-1)[visible, :, None]
    segments = segments[visible]
    return segments[:, :1] + along * (segments[:, 1:] - segments[:, :1])


def clip_polygon(polygon: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Clip a flat convex polygon (P, 3) to all half-spaces; returns (P', 3)."""
    for *normal, offset in planes:
        if len(polygon) == 0:
            break
        inside = polygon @ np.array(normal) - offset
        clipped = []
        for i in range(len(polygon)):
            j = (i + 1) % len(polygon)
            if inside[i] >= 0:
                clipped.append(polygon[i])
            if (inside[i] >= 0) != (inside[j] >= 0):
                share = inside[i] / (inside[i] - inside[j])
                clipped.append(polygon[i] + share * (polygon[j] - polygon[i]))
        polygon = np.array(clipped).reshape(-1, 3)
    return polygon

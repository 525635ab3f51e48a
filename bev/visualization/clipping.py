"""Cut lines and faces to what a camera can see, before they are projected.

The idea: a pinhole's view is an intersection of half-spaces of the camera frame: in front of a near
plane, and inside each border of the image. Cut there, a box that begins beside the car and reaches
behind the camera is drawn as far as it is visible; dropped or projected whole it would vanish or
smear over the picture.
"""

import numpy as np

NEAR = 0.1  # metres


def view_planes(
    image_from_camera: np.ndarray, size: tuple[int, int], margin: float = 8.0, near: float = NEAR
) -> np.ndarray:
    """The half-spaces ``a x + b y + c z >= d`` of a camera's view.

    Args:
        image_from_camera: (3, 3), homogeneous pixels from camera coordinates, last row (0, 0, 1).
        size: (height, width) of the image, pixels.
        margin: pixels beyond the borders that still count, so that thick lines end out of sight.
        near: metres in front of the camera.

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
    """The parts of segments (S, 2, 3) that lie in every half-space, (S', 2, 3)."""
    segments = np.asarray(segments, dtype=np.float64).reshape(-1, 2, 3)
    start, end = np.zeros(len(segments)), np.ones(len(segments))
    for *normal, least in planes:
        first, second = (segments @ np.array(normal) - least).T
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = first / (first - second)
        start = np.where(first < 0, np.maximum(start, crossing), start)
        end = np.where(second < 0, np.minimum(end, crossing), end)
        end = np.where((first < 0) & (second < 0), -1.0, end)
    seen = end > start
    along = np.stack([start, end], axis=-1)[seen, :, None]
    segments = segments[seen]
    return segments[:, :1] + along * (segments[:, 1:] - segments[:, :1])


def clip_polygon(polygon: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """The part of a flat convex polygon (P, 3) that lies in every half-space, (P', 3)."""
    for *normal, least in planes:
        if len(polygon) == 0:
            break
        inside = polygon @ np.array(normal) - least
        kept = []
        for i in range(len(polygon)):
            j = (i + 1) % len(polygon)
            if inside[i] >= 0:
                kept.append(polygon[i])
            if (inside[i] >= 0) != (inside[j] >= 0):
                share = inside[i] / (inside[i] - inside[j])
                kept.append(polygon[i] + share * (polygon[j] - polygon[i]))
        polygon = np.array(kept).reshape(-1, 3)
    return polygon

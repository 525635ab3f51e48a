"""Lidar: 32 rings of rays cast against the ground and every solid.

A ray hits a convex solid if it enters through all planes that face it before it leaves through any
other plane. Only the rays in a solid's window of rings and azimuths are tested.
"""

from dataclasses import dataclass

import numpy as np

from bev.lab.synthetic.visibility.items import Items

RINGS = 32
AZIMUTHS = 720
ELEVATION = np.radians(np.linspace(-30.67, 10.67, RINGS))
MAX_RANGE = 75.0
RANGE_NOISE = 0.012
"""Standard deviation of a return's range [m]."""

DROPOUT = 0.03
"""Share of rays without a return."""


@dataclass(frozen=True)
class Sweep:
    """Lidar sweep of one rotation.

    Attributes:
        points: (P, 5) float32 rows x, y, z [m, sensor frame], intensity [0..255], ring index.
        item: (P,) index of the hit item, -1 for the ground.
    """

    points: np.ndarray
    item: np.ndarray


def _directions() -> np.ndarray:
    azimuth = (np.arange(AZIMUTHS) + 0.5) * 2.0 * np.pi / AZIMUTHS - np.pi
    flat = np.cos(ELEVATION)[:, None]
    return np.stack(
        [
            flat * np.cos(azimuth),
            flat * np.sin(azimuth),
            np.broadcast_to(np.sin(ELEVATION)[:, None], (RINGS, AZIMUTHS)),
        ],
        axis=-1,
    )


_RAYS = _directions()


def cast(items: Items, global_from_sensor: np.ndarray, rng: np.random.Generator) -> Sweep:
    """Cast all rays from a sensor pose.

    Args:
        items: actors and props at the lidar's time.
        global_from_sensor: (4, 4) pose of the lidar.
        rng: generator of the noise and the dropout.
    """
    rotation, origin = global_from_sensor[:3, :3], global_from_sensor[:3, 3]
    down = _RAYS @ rotation[2]
    with np.errstate(divide="ignore"):
        distance = np.where(down < -1e-6, origin[2] / -down, np.inf)
    hit = np.full(distance.shape, -1, int)
    gap = np.linalg.norm(items.centre - origin, axis=1) - np.linalg.norm(items.half_size, axis=1)
    turn = rotation.T @ items.rotation
    move = (items.position - origin) @ rotation
    for item in np.flatnonzero(gap < MAX_RANGE):
        shape = items.shapes[item]
        points = shape.points @ turn[item].T + move[item]
        normals = shape.planes[:, :3] @ turn[item].T
        offsets = shape.planes[:, 3] - normals @ move[item]
        _cast_shape(shape, points, normals, offsets, int(item), distance, hit)
    noise = rng.normal(0.0, RANGE_NOISE, distance.shape)
    returned = (distance < MAX_RANGE) & (rng.random(distance.shape) > DROPOUT)
    ring, column = np.nonzero(returned)
    ranges = distance[returned] + noise[returned]
    item = hit[returned]
    surface = np.where(item < 0, 8.0, 15.0 + (item * 37) % 60)
    intensity = np.clip(surface + rng.normal(0.0, 3.0, len(item)), 0.0, 255.0)
    rows = np.column_stack([_RAYS[ring, column] * ranges[:, None], intensity, ring])
    return Sweep(rows.astype(np.float32), item)


def _window(points: np.ndarray) -> tuple[slice, np.ndarray] | None:
    """Rings and azimuth columns that may hit the hull of points (Q, 3), sensor frame."""
    flat = np.hypot(points[:, 0], points[:, 1])
    if flat.min() < 0.3:
        return slice(0, RINGS), np.arange(AZIMUTHS)
    azimuth = np.arctan2(points[:, 1], points[:, 0])
    middle = np.arctan2(points[:, 1].mean(), points[:, 0].mean())
    offset = (azimuth - middle + np.pi) % (2 * np.pi) - np.pi
    step = 2 * np.pi / AZIMUTHS
    first = int(np.floor((middle + offset.min() + np.pi) / step - 0.5))
    last = int(np.ceil((middle + offset.max() + np.pi) / step - 0.5))
    elevation = np.arctan2(points[:, 2], flat)
    # The nearest point between two corners may have a greater or smaller elevation than both.
    slack = np.cos(0.5 * (offset.max() - offset.min()))
    top, bottom = elevation.max(), elevation.min()
    if slack > 0.05:
        top = max(top, np.arctan(np.tan(top) / slack))
        bottom = min(bottom, np.arctan(np.tan(bottom) / slack))
    else:
        top, bottom = np.pi / 2, -np.pi / 2
    rings = slice(
        int(np.searchsorted(ELEVATION, bottom - 1e-3)),
        int(np.searchsorted(ELEVATION, top + 1e-3)),
    )
    if rings.start >= rings.stop:
        return None
    return rings, np.arange(first, last + 1) % AZIMUTHS


def _cast_shape(shape, points, normals, offsets, item, distance, hit) -> None:
    if _window(points) is None:
        return
    for solid in range(len(shape.solid_points) - 1):
        window = _window(points[shape.solid_points[solid] : shape.solid_points[solid + 1]])
        if window is None:
            continue
        rings, columns = window
        rows = slice(shape.solid_planes[solid], shape.solid_planes[solid + 1])
        along = _RAYS[rings, columns] @ normals[rows].T
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = -offsets[rows] / along
        enter = np.where(along < 0, meet, -np.inf).max(-1)
        leave = np.where(along > 0, meet, np.inf).min(-1)
        nearer = (enter > 0.05) & (enter <= leave) & (enter < distance[rings, columns])
        ring, column = np.nonzero(nearer)
        distance[ring + rings.start, columns[column]] = enter[nearer]
        hit[ring + rings.start, columns[column]] = item

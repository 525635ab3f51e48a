"""Reference sampling of image features: loops over points and cameras, in float64 by NumPy."""

import math
from collections.abc import Iterator

import numpy as np

from bev.geometry import Pinhole


def sightings(point, cameras, sample, bev_from_ego, image_size, feature_size, stride):
    """Yield (camera, column, row, depth) for cameras that see a BEV point, in feature cells.

    Columns and rows count from the centre of the first cell, and end at that of the last.
    """
    (height, width), (rows, columns) = image_size, feature_size
    in_ego = np.linalg.solve(bev_from_ego, np.append(point, 1.0))
    lenses = cameras[sample].lens.each(cameras.intrinsics.shape[1])
    for camera, lens in enumerate(lenses):
        one = cameras[sample, camera]
        x, y, depth = seen_through(lens, np.linalg.solve(one.ego_from_camera.numpy(), in_ego)[:3])
        if depth <= 0.1:
            continue
        original = one.intrinsics.numpy() @ [x, y, 1.0]
        u, v, _ = one.image_from_original.numpy() @ original
        if 0 <= u < width and 0 <= v < height:
            # The cells' centres, as bev.geometry.feature_pixels documents them.
            column = (u - width / 2) / stride + (columns - 1) / 2
            row = (v - height / 2) / stride + (rows - 1) / 2
            yield camera, np.clip(column, 0, columns - 1), np.clip(row, 0, rows - 1), depth


def seen_through(lens, point) -> tuple[float, float, float]:
    """Position of a point on the plane at distance 1, and its depth; 0 if it is not seen."""
    x, y, z = point
    if lens == Pinhole():
        return x / z, y / z, z
    theta = math.atan2(math.hypot(x, y), z)
    if theta > lens.max_angle.item():
        return 0.0, 0.0, 0.0
    radius, turn = distorted(lens.coefficients.tolist(), theta), math.atan2(y, x)
    return radius * math.cos(turn), radius * math.sin(turn), math.dist((0, 0, 0), point)


def looked_at(lens, x, y) -> np.ndarray | None:
    """The camera-frame point at depth 1 for a position on the plane, by bisection."""
    if lens == Pinhole():
        return np.array([x, y, 1.0])
    low, high, radius = 0.0, lens.max_angle.item(), math.hypot(x, y)
    numbers = lens.coefficients.tolist()
    if radius > distorted(numbers, high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if distorted(numbers, middle) < radius else (low, middle)
    turn = math.atan2(y, x)
    out = math.sin(low)
    return np.array([out * math.cos(turn), out * math.sin(turn), math.cos(low)])


def distorted(numbers: list[float], theta: float) -> float:
    """theta_d, term by term."""
    return theta + sum(k * theta ** (2 * i + 3) for i, k in enumerate(numbers))


def corners(column, row) -> Iterator[tuple[int, int, float]]:
    """Yield (row, column, weight) of the cells around a position."""
    for j in (int(np.floor(column)), int(np.floor(column)) + 1):
        for i in (int(np.floor(row)), int(np.floor(row)) + 1):
            weight = max(0.0, 1 - abs(j - column)) * max(0.0, 1 - abs(i - row))
            if weight > 0:
                yield i, j, weight


def read(features, column, row):
    """Features (C, h, w) interpolated between cells."""
    return sum(weight * features[:, i, j] for i, j, weight in corners(column, row))

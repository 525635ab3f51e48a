"""Sampling of image features written as loops over points and cameras, in float64 by NumPy."""

from collections.abc import Iterator

import numpy as np


def sightings(point, cameras, sample, bev_from_ego, image_size, feature_size, stride):
    """(camera, column, row, depth) wherever a BEV point is seen, in units of feature cells.

    Columns and rows count from the centre of the first cell, and end at that of the last.
    """
    (height, width), (rows, columns) = image_size, feature_size
    in_ego = np.linalg.solve(bev_from_ego, np.append(point, 1.0))
    for camera in range(cameras.intrinsics.shape[1]):
        one = cameras[sample, camera]
        x, y, depth, _ = np.linalg.solve(one.ego_from_camera.numpy(), in_ego)
        if depth <= 0.1:
            continue
        original = one.intrinsics.numpy() @ [x / depth, y / depth, 1.0]
        u, v, _ = one.image_from_original.numpy() @ original
        if 0 <= u < width and 0 <= v < height:
            # The cells' centres, as bev.geometry.feature_pixels documents them.
            column = (u - width / 2) / stride + (columns - 1) / 2
            row = (v - height / 2) / stride + (rows - 1) / 2
            yield camera, np.clip(column, 0, columns - 1), np.clip(row, 0, rows - 1), depth


def corners(column, row) -> Iterator[tuple[int, int, float]]:
    """(row, column, weight) of the cells around a place."""
    for j in (int(np.floor(column)), int(np.floor(column)) + 1):
        for i in (int(np.floor(row)), int(np.floor(row)) + 1):
            weight = max(0.0, 1 - abs(j - column)) * max(0.0, 1 - abs(i - row))
            if weight > 0:
                yield i, j, weight


def read(features, column, row):
    """Features (C, h, w) between cells."""
    return sum(weight * features[:, i, j] for i, j, weight in corners(column, row))

"""Calibration arrays of an exported detector; this file needs numpy alone and may be copied.

The pooling of lift-splat is computed column by column. All pixels of an image column that lie in
one depth bin fall into few BEV cells (into one, if the camera is upright), so the frustum is first
summed along the column, by a matrix product for each column, and then into the BEV::

    entry[n, u, k, d] = sum over v of mask[n, u, k, d, v] * depth[n, d, v, u] * context[n, :, v, u]
    bev[cell] = sum of the entries of the cell

The sums are those of voxel pooling in another order, for any pose of a camera: where the pixels of
a column fall into several cells, each has a slot k of its own. N cameras, u of w columns, v of h
rows, d of D depth bins, K slots; entries are numbered in the order (n, u, k, d).
"""

import numpy as np

SEGMENT = 4  # entries of a segment of the padded form


def calibration_inputs(geometry, passes, intrinsics, poses, crops, motion=None, ending=""):
    """Inputs of an exported detector for the calibration of its cameras (pinholes), by name.

    Args:
        geometry: the metadata ``geometry`` of the exported file, from JSON.
        passes: its metadata ``passes``; the second one has mirrored images.
        intrinsics: (N, 3, 3) of the original images, pixels; pixel centres at integer + 0.5.
        poses: (N, 4, 4) ``ego_from_camera``, metres.
        crops: (N, 3, 3) ``image_from_original`` of its metadata ``cameras``.
        motion: (4, 4) ``ego_from_adjacent``, for an earlier frame.
        ending: end of the names, such as ``_adjacent0``.
    """
    bev, inputs = np.eye(4) if motion is None else np.asarray(motion, float), {}
    for number in range(passes):
        if number:
            width = geometry["image_size"][1]
            crops = np.array([[-1, 0, width], [0, 1, 0], [0, 0, 1]]) @ crops
            bev = np.diag([1, -1, 1, 1]) @ bev
        arrays = calibration_arrays(geometry, intrinsics, poses, crops, bev)
        inputs |= {f"{name}{ending}{'_flipped' * number}": a for name, a in arrays.items()}
    return inputs


def calibration_arrays(geometry, intrinsics, ego_from_camera, image_from_original, bev_from_ego):
    """Arrays of one pass; see :func:`calibration_inputs`."""
    image, pose = np.asarray(image_from_original, float), np.asarray(ego_from_camera, float)
    camera, full = image @ np.asarray(intrinsics, float), bev_from_ego @ pose
    u, v = np.meshgrid(geometry["columns"], geometry["rows"])
    rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(camera).swapaxes(1, 2)[:, None]
    directions = rays @ full[:, None, :3, :3].swapaxes(2, 3)
    points = directions[:, :, :, None] * np.reshape(geometry["depths"], (-1, 1))
    points = (points + full[:, None, None, None, :3, 3]).astype(np.float32)
    arrays = arrange(*cells(points, geometry))
    plane = np.tile([*bev_from_ego[:2, :2].ravel(), bev_from_ego[2, 2]], (len(pose), 1))
    numbers = [camera[:, :2].reshape(-1, 6) / geometry["image_size"][1], pose[:, :3], plane]
    if geometry["parameters"] == "published":
        lens = np.asarray(intrinsics, float)[:, [0, 1, 0, 1], [0, 1, 2, 2]]
        numbers = [lens, image[:, :2], plane, pose[:, :3]]
    arrays["parameters"] = np.concatenate([n.reshape(len(pose), -1) for n in numbers], -1)
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    height = np.maximum(pose[:, 2, 3], 0.1)[:, None, None]
    ground = 10 * np.clip(-(rays @ pose[:, None, 2, :3, None])[..., 0] / height, 0, 0.5)
    nearness = np.exp(-0.5 * points[..., 2] ** 2)
    arrays["rays"] = np.concatenate([unit, ground[..., None], nearness], -1).transpose(0, 3, 1, 2)
    return {k: a.astype(np.int64 if a.dtype.kind == "i" else "f4") for k, a in arrays.items()}


def cells(points, geometry):
    """Cell of each depth point (N, h, w, D), -1 outside the grid, and the number of cells."""
    low, high, step = np.array([geometry["grid"][axis] for axis in "xyz"]).T
    sizes = np.rint((high - low) / step).astype(int)
    above = points - low.astype(np.float32)
    index = np.floor(above * (1 / step).astype(np.float32))
    if geometry["truncate"]:
        index = np.trunc(above / step.astype(np.float32))
    inside = ((index >= 0) & (index < sizes)).all(-1)
    x, y, z = np.moveaxis(np.where(inside[..., None], index, 0).astype(np.int64), -1, 0)
    return np.where(inside, (y * sizes[0] + x) * sizes[2] + z, -1), int(sizes.prod())


def arrange(cell, count):
    """Arrays of the pooling: slots of each column, and the entries of each cell.

    Args:
        cell: (N, h, w, D) cell of each depth point; -1 outside the grid.
        count: number of cells.

    Returns:
        ``mask`` (N, w, K, D, h), 1 for the points of an entry; ``target`` (N, w, K, D) cell of each
        entry, ``count`` for none; ``segments`` (S + 1, SEGMENT) entries of each segment, padded
        with the number of entries; ``places`` (cells, J) segments of each cell, padded with S.
    """
    cell = cell.transpose(0, 2, 3, 1)
    ordered = np.sort(cell, -1)
    new = np.diff(ordered, axis=-1, prepend=-1) > 0
    n, u, d, v = np.nonzero(new)
    slot = (np.cumsum(new, -1) - 1)[n, u, d, v]
    target = np.full((*cell.shape[:2], slot.max(initial=0) + 1, cell.shape[2]), count)
    target[n, u, slot, d] = ordered[n, u, d, v]
    mask = (cell[:, :, None] == target[..., None]).astype(np.float32)
    entry = np.argsort(target, axis=None, kind="stable")[: len(n)]
    own = target.ravel()[entry]
    first = np.searchsorted(own, np.arange(count + 1))
    number = np.arange(len(own)) - first[own]  # of each entry in its cell
    each = -(-np.diff(first) // SEGMENT)  # segments of each cell
    segment = (np.cumsum(each) - each)[own] + number // SEGMENT
    segments = np.full((each.sum() + 1, SEGMENT), target.size)
    segments[segment, number % SEGMENT] = entry
    places = np.full((count, max(each.max(), 1)), each.sum())
    places[own, number // SEGMENT] = segment
    return {"mask": mask, "target": target, "segments": segments, "places": places}

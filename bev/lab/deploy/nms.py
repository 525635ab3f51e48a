"""NMS for the candidates of an exported detector; this file needs numpy alone and may be copied."""

import numpy as np


def rotated_nms(
    boxes, scores, labels, tasks, scale, overlap, radius, by_class=False, most=83, total=500
):
    """Indices of the boxes that no better box of their task is too near to, best first.

    All but the first three arguments are the metadata ``nms`` of the file, from JSON.

    Args:
        boxes: (M, 9) x, y, z, length, width, height, yaw, vx, vy.
        scores: (M,); boxes of score 0 are left out.
        labels: (M,) class of each box.
        tasks: number of the task of each class.
        scale: factor on length and width, for each class.
        overlap: greatest intersection over union with a box of each class; 1 for any.
        radius: distance of centres from a box of each class within which there is no other,
            metres; 0 for any.
        by_class: boxes suppress boxes of their own class alone.
        most: greatest number of boxes of a task.
        total: greatest number of boxes.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]
    group = labels if by_class else np.asarray(tasks)[labels]
    factor, limit, circle = (np.asarray(each)[labels] for each in (scale, overlap, radius))
    size = boxes[:, 3:5] * factor[:, None]
    reach = np.hypot(*size.T) / 2
    kept = []
    for i in order:
        rivals = np.array([j for j in kept if group[j] == group[i]], int)
        apart = np.hypot(*(boxes[rivals, :2] - boxes[i, :2]).T)
        if (apart < circle[rivals]).any():
            continue
        near = rivals[(limit[rivals] < 1) & (apart < reach[i] + reach[rivals])]
        polygon = _corners(boxes[i], size[i])
        if all(_overlap(_corners(boxes[j], size[j]), polygon) <= limit[j] for j in near):
            kept.append(int(i))
    counts = {}
    result = []
    for i in kept:
        task = int(np.asarray(tasks)[labels[i]])
        counts[task] = counts.get(task, 0) + 1
        if counts[task] <= most:
            result.append(i)
    return np.asarray(result[:total], int)


def _corners(box, size):
    """Corners (4, 2) of a rectangle, counter-clockwise."""
    half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * size / 2
    cos, sin = np.cos(box[6]), np.sin(box[6])
    return half @ np.array([[cos, sin], [-sin, cos]]) + box[:2]


def _overlap(a, b):
    """Intersection over union of two convex polygons, by clipping a at the edges of b."""
    clipped = list(a)
    for start, end in zip(b, np.roll(b, -1, axis=0), strict=True):
        edge = end - start
        side = [edge[0] * (p[1] - start[1]) - edge[1] * (p[0] - start[0]) for p in clipped]
        result = []
        for i, p in enumerate(clipped):
            q, s, t = clipped[i - 1], side[i - 1], side[i]
            if (s >= 0) != (t >= 0):
                result.append(q + (p - q) * s / (s - t))
            if t >= 0:
                result.append(p)
        clipped = result
        if not clipped:
            return 0.0
    inner = _area(np.array(clipped))
    return inner / (_area(a) + _area(b) - inner)


def _area(points):
    x, y = points.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2

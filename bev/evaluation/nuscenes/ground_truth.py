"""Ground truth of the official metrics, and the boxes that count, read from the index.

The rules are those of the devkit (``load_gt`` and ``filter_eval_boxes``): boxes of the ten classes;
those in the range of their class, with at least one lidar or radar point, and, for bicycles and
motorcycles, not in a bicycle rack.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.data.nuscenes.index import Index, reference_row
from bev.evaluation.detection.arithmetic import rotation_matrix
from bev.evaluation.detection.columns import BoxColumns

_BICYCLE_RACK = b"static_object.bicycle_rack"
_IN_RACKS = [CLASSES.index(name) for name in ("bicycle", "motorcycle")]


def gt_boxes_of(index: Index, samples: Sequence[int]) -> BoxColumns:
    """Load the annotated boxes of the ten classes in the global frame.

    A box with several attributes, or with one that is not part of nuScenes, has its first or none:
    what is scored is checked before, by ``bev.data.checks.annotations.check_scorable``.

    Args:
        index: opened index of the data set.
        samples: rows of the ``sample`` table.
    """
    table, (sample, rows) = index.sample_annotation, index.annotations_of(samples)
    label = index.class_of_category[table.category[rows]]
    sample, rows, label = sample[label >= 0], rows[label >= 0], label[label >= 0]
    return BoxColumns(
        tuple(index.token_of(row) for row in samples),
        CLASSES,
        ATTRIBUTES,
        sample,
        label,
        index.attribute_numbers[table.attribute[rows]],
        table.translation[rows],
        table.size[rows],
        table.rotation[rows],
        table.velocity[rows],
        np.full(len(rows), -1.0),
        index.num_points(rows),
        table.visibility[rows],
    )


def counted(index: Index, boxes: BoxColumns, ranges: Mapping[str, float]) -> BoxColumns:
    """Select the boxes that count by the devkit's rules.

    The range is measured from the sample's reference ego pose: that of the lidar, as in the devkit,
    or that of another sensor if a sample has no lidar (the devkit fails in this case).

    Args:
        index: index of the boxes' data set.
        boxes: boxes in the global frame.
        ranges: maximum distance of each class in x and y, metres.
    """
    samples = index.rows_of(boxes.tokens)
    egos = [index.sample_data.translation[reference_row(index, row)] for row in samples.tolist()]
    ego = np.array(egos).reshape(-1, 3)[boxes.sample, :2]
    distance = np.sqrt(((boxes.translation[:, :2] - ego) ** 2).sum(axis=1))
    limit = np.array([ranges[name] for name in boxes.names], float)
    keep = (distance < limit[boxes.label]) & (boxes.points != 0)
    keep[keep] = ~_in_racks(index, samples, boxes.take(keep))
    return boxes.take(keep)


def _in_racks(index: Index, samples: np.ndarray, boxes: BoxColumns) -> np.ndarray:
    """(n,) whether the centre of a bicycle or motorcycle lies in a rack of its sample."""
    inside = np.zeros(len(boxes), bool)
    number, rows = index.annotations_of(samples)
    is_rack = (index.category.name == _BICYCLE_RACK)[index.sample_annotation.category[rows]]
    cycles = np.flatnonzero(np.isin(boxes.label, _IN_RACKS))
    racks: dict[int, list[int]] = {}
    for sample, row in zip(number[is_rack].tolist(), rows[is_rack].tolist(), strict=True):
        racks.setdefault(sample, []).append(row)
    for place in cycles[np.isin(boxes.sample[cycles], [*racks])].tolist():
        own = racks[int(boxes.sample[place])]
        inside[place] = any(_holds(index, rack, boxes.translation[place]) for rack in own)
    return inside


def _holds(index: Index, rack: int, point: np.ndarray) -> bool:
    """Whether a point lies in an annotated box, computed as by the devkit's ``points_in_box``."""
    table = index.sample_annotation
    width, length, height = table.size[rack].tolist()
    # The reference corner, and its neighbours along length, width and height.
    signs = np.array([[1, -1, 1, 1], [1, 1, -1, 1], [1, 1, 1, -1]])
    corners = np.array([[length / 2], [width / 2], [height / 2]]) * signs
    corners = np.dot(rotation_matrix(table.rotation[rack][None])[0], corners)
    corners += table.translation[rack][:, None]
    edges = corners[:, 1:] - corners[:, :1]
    along = [np.dot(edge, (point - corners[:, 0])[:, None]).item() for edge in edges.T]
    return all(0 <= a <= np.dot(e, e) for a, e in zip(along, edges.T, strict=True))

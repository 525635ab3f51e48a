"""Ground truth in the form of the devkit, and the boxes that count, read from the index.

The devkit's own filter is used unchanged. It reads four kinds of rows of its tables for a sample,
and ``_FilterTables`` provides them from the index; of a sample's annotations it provides the
bicycle racks only, since the filter skips all others. The rule is thus not implemented a second
time, and no table is loaded.
"""

from collections.abc import Iterable

import numpy as np
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes
from nuscenes.eval.detection.data_classes import DetectionBox, DetectionConfig

from bev.data.nuscenes.boxes import detection_labels
from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES
from bev.data.nuscenes.index import Index
from bev.data.nuscenes.sensor_data import reference_row
from bev.errors import DataError

_BICYCLE_RACK = b"static_object.bicycle_rack"


def gt_boxes_of(index: Index, samples: Iterable[int]) -> EvalBoxes:
    """Load the annotated boxes of the ten classes in the global frame; every sample is a key.

    Args:
        index: opened index of the data set.
        samples: rows of the ``sample`` table.

    Raises:
        DataError: for a box with several attributes, or with an attribute that is not part of
            nuScenes.
    """
    table, labels = index.sample_annotation, detection_labels(index)
    attributes = [name.decode() for name in index.attribute.name] + [""]  # NO_ROW selects the last
    gt_boxes = EvalBoxes()
    for sample in samples:
        token = index.token_of(sample)
        first, last = index.sample.annotations[sample : sample + 2]
        label = labels[table.category[first:last]]
        boxes = []
        for row in first + np.flatnonzero(label >= 0):
            attribute = attributes[table.attribute[row]]
            if table.attribute_count[row] > 1 or (attribute and attribute not in ATTRIBUTES):
                raise DataError(
                    f"Sample {token} has a box with several attributes, or with one that is not"
                    f" part of nuScenes ({attribute}); the official metrics allow at most one of"
                    f" {', '.join(ATTRIBUTES)}."
                )
            boxes.append(
                DetectionBox(
                    sample_token=token,
                    translation=table.translation[row].tolist(),
                    size=table.size[row].tolist(),
                    rotation=table.rotation[row].tolist(),
                    velocity=table.velocity[row].tolist(),
                    num_pts=int(table.num_lidar_pts[row]) + int(table.num_radar_pts[row]),
                    detection_name=CLASSES[label[row - first]],
                    detection_score=-1.0,
                    attribute_name=attribute,
                )
            )
        gt_boxes.add_boxes(token, boxes)
    return gt_boxes


def counted(index: Index, boxes: EvalBoxes, config: DetectionConfig) -> EvalBoxes:
    """Select the boxes that count with the devkit's filter: range, points, bicycle racks.

    The range is measured from the sample's reference ego pose: that of the lidar, as in the devkit,
    or that of another sensor if a sample has no lidar (the devkit fails in this case).
    """
    if not boxes.all:  # the filter fails on empty boxes
        return boxes
    tables = _FilterTables(index, boxes.sample_tokens)
    return filter_eval_boxes(tables, add_center_dist(tables, boxes), config.class_range)


class _FilterTables:
    """Replacement of the devkit's ``NuScenes`` for its filter; tokens are row numbers."""

    def __init__(self, index: Index, tokens: list[str]) -> None:
        self.index = index
        self.sample_rows = dict(zip(tokens, index.rows_of(tokens).tolist(), strict=True))
        self.is_rack = index.category.name == _BICYCLE_RACK

    def get(self, table: str, token: str | int) -> dict:
        """Return a row, with the fields that the filter reads."""
        return getattr(self, f"_{table}")(token)

    def _sample(self, token: str) -> dict:
        row = self.sample_rows[token]
        first, last = self.index.sample.annotations[row : row + 2]
        racks = np.flatnonzero(self.is_rack[self.index.sample_annotation.category[first:last]])
        return {
            "data": {"LIDAR_TOP": reference_row(self.index, row)},
            "anns": (first + racks).tolist(),
        }

    def _sample_data(self, row: int) -> dict:
        return {"ego_pose_token": row}

    def _ego_pose(self, row: int) -> dict:
        return {"translation": self.index.sample_data.translation[row].tolist()}

    def _sample_annotation(self, row: int) -> dict:
        table = self.index.sample_annotation
        return {
            "category_name": _BICYCLE_RACK.decode(),
            "translation": table.translation[row].tolist(),
            "size": table.size[row].tolist(),
            "rotation": table.rotation[row].tolist(),
        }

"""Boxes of a nuScenes evaluation with their matches, for its breakdown."""

import numpy as np

from bev.data.nuscenes.index import Index, reference_row
from bev.data.nuscenes.tables import table_file
from bev.errors import DataError
from bev.evaluation.breakdown.boxes import MatchedBoxes, in_ego
from bev.evaluation.nuscenes.official import CountedBoxes, match
from bev.plain_json import read_json


def matched_boxes(boxes: CountedBoxes, index: Index) -> MatchedBoxes:
    """Match boxes as in the official metrics, and transform them to the ego frames.

    Raises:
        DataError: if the table of scenes is damaged.
    """
    matches = match(boxes)
    rows = index.rows_of(matches.tokens)
    poses = np.array([reference_row(index, row) for row in rows.tolist()], int)
    translation, rotation = (
        getattr(index.sample_data, name)[poses].reshape(len(rows), width)
        for name, width in (("translation", 3), ("rotation", 4))
    )
    names = [name.decode() for name in index.scene.name[index.sample.scene[rows]]]
    predicted, gt_boxes = (
        in_ego(some.numbered(matches.tokens), translation, rotation)
        for some in (boxes.predicted, boxes.gt_boxes)
    )
    return MatchedBoxes(matches, predicted, gt_boxes, tuple(names), scene_descriptions(index))


def scene_descriptions(index: Index) -> dict[str, str]:
    """Descriptions of the scenes of a data set, such as "Night, rain, parked cars", by name.

    Raises:
        DataError: if the table of scenes is damaged.
    """
    path = table_file(index.root / index.version, "scene")
    return read_json(
        path,
        lambda rows: {str(row["name"]): str(row.get("description") or "") for row in rows},
        DataError,
        "download it again.",
    )

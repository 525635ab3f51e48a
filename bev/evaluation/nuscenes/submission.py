"""Conversion of boxes in the ego frame to official nuScenes submission files.

Everything that is evaluated passes through ``submission_rows``. In the tests, ground truth passes
through it as predictions do, so an error in the conversion shows as ground truth with an imperfect
score.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.nuscenes.boxes import to_nuscenes
from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES, NUSCENES
from bev.evaluation.center_distance import attribute_by_speed
from bev.evaluation.detection.metrics import MAX_BOXES
from bev.evaluation.results_file import check_boxes
from bev.files import replacing
from bev.geometry import Boxes3D

_META = {
    "use_camera": True,
    "use_lidar": False,
    "use_radar": False,
    "use_map": False,
    "use_external": False,
}


def attribute_of(name: str, speed: float, attribute: int = -1) -> str:
    """Return the attribute to submit for a box.

    Args:
        name: detection class.
        speed: metres per second; NaN (unknown) counts as standing still.
        attribute: index into ``ATTRIBUTES``, or -1 to choose by speed.

    Returns:
        Name of the attribute; empty for barriers and traffic cones, which have none.
    """
    kind = NUSCENES.classes[CLASSES.index(name)]
    if attribute >= 0 and kind.attributes:
        return ATTRIBUTES[attribute]
    return attribute_by_speed(kind, speed)


def submission_rows(
    token: str, boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"]
) -> list[dict]:
    """Convert the boxes of one sample to official rows, best score first, at most 500.

    Args:
        token: token of the sample.
        boxes: predicted boxes in the sample's reference ego frame.
        global_from_ego: (4, 4) float64, the reference ego pose.

    Raises:
        SubmissionError: see ``bev.evaluation.results_file.check_boxes``.
    """
    boxes = boxes.to("cpu")
    check_boxes(token, boxes, NUSCENES)
    order = torch.argsort(boxes.score, descending=True, stable=True)[:MAX_BOXES]
    boxes = boxes[order]
    rows = []
    for row, label, score, attribute, speed in zip(
        to_nuscenes(boxes, global_from_ego),
        boxes.label.tolist(),
        boxes.score.tolist(),
        boxes.attribute.tolist(),
        boxes.velocity.norm(dim=1).tolist(),
        strict=True,
    ):
        name = CLASSES[label]
        rows.append(
            {
                "sample_token": token,
                **row,
                "detection_name": name,
                "detection_score": score,
                "attribute_name": attribute_of(name, speed, attribute),
            }
        )
    return rows


def write_submission(path: Path | str, rows_by_token: Mapping[str, list[dict]]) -> Path:
    """Write a results file (``results_nusc.json``) for the official evaluation and its server.

    Every sample of the split must be a key, with an empty list if nothing was detected. The file is
    written atomically.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w") as file:
        json.dump({"meta": _META, "results": dict(rows_by_token)}, file)
    return path

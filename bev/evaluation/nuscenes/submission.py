"""From boxes around the car to an official nuScenes submission file, and back from disk.

The idea: one path for everything that is ever evaluated. In the tests, ground truth goes through
``submission_rows`` as predictions do, so a fault in the path shows as ground truth that does not
score as such.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from bev.data.nuscenes.boxes import to_nuscenes
from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES, NUSCENES
from bev.errors import SubmissionError
from bev.evaluation.center_distance import MAX_BOXES, attribute_by_speed
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
    """The attribute to submit for a box.

    Args:
        name: detection class.
        speed: metres per second; NaN (unknown) counts as standing still.
        attribute: index into ``ATTRIBUTES``, or -1 to decide by the speed.

    Returns:
        An attribute name; empty for barriers and cones, which have none.
    """
    kind = NUSCENES.classes[CLASSES.index(name)]
    if attribute >= 0 and kind.attributes:
        return ATTRIBUTES[attribute]
    return attribute_by_speed(kind, speed)


def submission_rows(
    token: str, boxes: Boxes3D, global_from_ego: Float[Tensor, "4 4"]
) -> list[dict]:
    """The official rows of one sample, best score first, at most 500.

    Args:
        token: the sample.
        boxes: in the sample's reference ego frame.
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
    """Write a results file (``results_nusc.json``) that the official evaluation and server take.

    Every sample of the split must be a key, with an empty list where nothing was found. The file
    appears whole or not at all.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("w") as file:
        json.dump({"meta": _META, "results": dict(rows_by_token)}, file)
    return path


def read_submission(path: Path | str) -> tuple[dict[str, list[dict]], dict]:
    """Rows by sample token, and the meta entry, of a results file.

    Raises:
        SubmissionError: where the file is missing or is not a nuScenes detection submission.
    """
    path = Path(path)
    if not path.is_file():
        raise SubmissionError(f"Results file {path} does not exist; name a results_nusc.json.")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise SubmissionError(f"Results file {path} is not JSON ({error}).") from error
    parts = [content.get(key) if isinstance(content, dict) else None for key in ("results", "meta")]
    if not all(isinstance(part, dict) for part in parts):
        raise SubmissionError(
            f"Results file {path} lacks 'results' or 'meta'; it is no nuScenes submission."
        )
    return parts[0], parts[1]

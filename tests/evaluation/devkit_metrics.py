"""The devkit's own evaluation, and predictions for which no metric is trivial."""

import json
from dataclasses import asdict, replace

import pytest
import torch
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.detection.data_classes import DetectionBox
from nuscenes.eval.detection.evaluate import DetectionEval

from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.nuscenes.official import Metrics
from bev.evaluation.nuscenes.submission import submission_rows


def noisy(frames, seed=3):
    """Ground truth with noise, misses, wrong classes and random scores."""
    chance = torch.Generator().manual_seed(seed)
    rows = {}
    for frame in frames:
        boxes = frame.boxes
        count = len(boxes)

        def noise(*shape, scale=1.0):
            return scale * torch.randn(*shape, generator=chance)

        boxes = replace(
            boxes,
            center=boxes.center + noise(count, 3, scale=0.6),
            size=boxes.size * torch.exp(noise(count, 3, scale=0.1)),
            yaw=boxes.yaw + noise(count, scale=0.3),
            velocity=torch.nan_to_num(boxes.velocity) + noise(count, 2, scale=0.3),
            # Few digits, so that many scores are equal and their order matters.
            score=torch.rand(count, generator=chance).mul(20).round().div(20),
            attribute=torch.full_like(boxes.attribute, -1),
            label=torch.where(
                torch.rand(count, generator=chance) < 0.1, (boxes.label + 1) % 10, boxes.label
            ),
        )
        boxes = boxes[torch.rand(count, generator=chance) < 0.8]
        rows[frame.token] = submission_rows(frame.token, boxes, frame.global_from_ego)
    return rows


def devkit_metrics(nusc, path, split, folder) -> Metrics:
    """Metrics of the devkit's own evaluation."""
    config = config_factory("detection_cvpr_2019")
    theirs = DetectionEval(nusc, config, str(path), split, str(folder), verbose=False)
    return Metrics.from_summary(theirs.main(render_curves=False))


def single_boxes(boxes: BoxColumns) -> list[DetectionBox]:
    """The boxes as objects of the devkit's class."""
    return [
        DetectionBox(
            sample_token=boxes.tokens[boxes.sample[row]],
            translation=tuple(boxes.translation[row].tolist()),
            size=tuple(boxes.size[row].tolist()),
            rotation=tuple(boxes.rotation[row].tolist()),
            velocity=tuple(boxes.velocity[row].tolist()),
            detection_name=boxes.names[boxes.label[row]],
            detection_score=float(boxes.score[row]),
            attribute_name=(*boxes.attributes, "")[boxes.attribute[row]],
        )
        for row in range(len(boxes))
    ]


class Given(DetectionEval):
    """The devkit's evaluation of given boxes, without its filters."""

    def __init__(self, predicted: EvalBoxes, gt_boxes: EvalBoxes) -> None:
        self.pred_boxes, self.gt_boxes, self.verbose = predicted, gt_boxes, False
        self.cfg = config_factory("detection_cvpr_2019")


def given_metrics(predicted: EvalBoxes, gt_boxes: EvalBoxes) -> tuple[dict, dict]:
    """Content of the devkit's summary and details files for these boxes."""
    metrics, details = Given(predicted, gt_boxes).evaluate()
    return json.loads(json.dumps(metrics.serialize())), details.serialize()


def assert_equal(ours: Metrics, theirs: Metrics) -> None:
    """Compare all metrics to 1e-9: overall, by class, by distance, and every error.

    The devkit's files do not contain the numbers of ground-truth boxes.
    """
    ours = replace(ours, num_gt=theirs.num_gt)
    assert flat(asdict(ours)) == pytest.approx(flat(asdict(theirs)), rel=0, abs=1e-9, nan_ok=True)


def flat(figures: dict, name: str = "") -> dict[str, float]:
    found = {}
    for key, value in figures.items():
        nested = isinstance(value, dict)
        found |= flat(value, f"{name}{key}.") if nested else {f"{name}{key}": value}
    return found

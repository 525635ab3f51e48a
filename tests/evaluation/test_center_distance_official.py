"""Scores by centre distance equal the devkit's for its ten classes; files are read alike."""

import json

import numpy as np
import pytest
import torch
from crowds import crowd, official_keys
from devkit_metrics import given_metrics, noisy
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.utils import quaternion_yaw
from nuscenes.eval.detection.data_classes import DetectionBox
from pyquaternion import Quaternion

from bev.data.nuscenes.classes import ATTRIBUTES, CLASSES, NUSCENES
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.evaluation.center_distance import read_scores, score_boxes
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.nuscenes.official import counted_boxes, evaluate_submission
from bev.evaluation.nuscenes.submission import write_submission
from bev.evaluation.scores import read_details
from bev.geometry import Boxes3D


def devkit_boxes(boxes_by_token, predicted: bool) -> EvalBoxes:
    """The boxes as objects of the devkit's class, best first."""
    found = EvalBoxes()
    for token in sorted(boxes_by_token):
        boxes = boxes_by_token[token]
        rows = []
        for row in torch.argsort(boxes.score, descending=True, stable=True).tolist():
            length, width, height = boxes.size[row].tolist()
            name, speed = CLASSES[boxes.label[row]], boxes.velocity[row].norm()
            attribute = (*ATTRIBUTES, "")[boxes.attribute[row]]
            kind = NUSCENES.classes[boxes.label[row]]
            if predicted and not attribute:
                attribute = kind.moving if speed > 0.2 else kind.at_rest
            rows.append(
                DetectionBox(
                    sample_token=token,
                    translation=tuple(boxes.center[row].tolist()),
                    size=(width, length, height),
                    rotation=tuple(Quaternion(axis=[0, 0, 1], radians=boxes.yaw[row].item())),
                    velocity=tuple(boxes.velocity[row].tolist()),
                    detection_name=name,
                    detection_score=boxes.score[row].item(),
                    attribute_name=attribute,
                )
            )
        found.add_boxes(token, rows)
    return found


def to_boxes(columns: BoxColumns) -> dict[str, Boxes3D]:
    """Boxes of every sample as Boxes3D, in the same frame, float64."""
    found = {}
    for number, token in enumerate(columns.tokens):
        own = columns.take(columns.sample == number)
        yaw = [quaternion_yaw(Quaternion(rotation)) for rotation in own.rotation]
        found[token] = Boxes3D.make(
            torch.from_numpy(own.translation),
            torch.from_numpy(own.size[:, [1, 0, 2]]),
            torch.tensor(yaw, dtype=torch.float64),
            torch.from_numpy(own.velocity),
            torch.from_numpy(own.label.astype(int)),
            torch.from_numpy(own.score),
            torch.from_numpy(own.attribute.astype(int)),
        )
    return found


@pytest.mark.parametrize("seed", range(3))
def test_ten_classes_score_as_in_the_devkit(seed):
    """Every metric and curve, with equal scores, whose order matters; AP is equal bit by bit."""
    predicted, gt_boxes = crowd(seed, NUSCENES, ties=True)
    found = score_boxes(predicted, gt_boxes, NUSCENES)
    theirs, details = given_metrics(devkit_boxes(predicted, True), devkit_boxes(gt_boxes, False))
    assert json.loads(json.dumps(found.summary))["label_aps"] == theirs["label_aps"]
    assert official_keys(found.summary) == pytest.approx(
        official_keys(theirs), rel=0, abs=1e-12, nan_ok=True
    )
    assert list(found.scores.figures) == ["mAP", "mATE", "mASE", "mAOE", "mAVE", "mAAE"]
    assert 0.05 < found.scores.figures["mAP"] < 0.9
    assert found.details.keys() == details.keys()
    for name, curves in details.items():
        assert found.details[name].keys() == curves.keys()
        for key, values in curves.items():
            np.testing.assert_allclose(found.details[name][key], values, rtol=0, atol=1e-12)


def assert_official(index, frames, folder):
    """Compare with the official evaluation of a results file, on the boxes that count in it."""
    rng = np.random.default_rng(0)
    rows = noisy(frames)
    for row in (row for own in rows.values() for row in own):
        row["detection_score"] = float(rng.random())  # the order of equal scores differs there
    path = write_submission(folder / "results_nusc.json", rows)
    official = evaluate_submission(path, index, [*rows], folder / "official")
    boxes = counted_boxes(path, index, [*rows])
    found = score_boxes(to_boxes(boxes.predicted), to_boxes(boxes.gt_boxes), NUSCENES)
    figures = {name: value for name, value in official.scores().figures.items() if name != "NDS"}
    assert found.scores.figures == pytest.approx(figures, rel=0, abs=1e-12)
    for name, own in found.scores.classes.items():
        theirs = [official.class_ap[name], *official.class_errors[name].values()]
        assert [*own.values()] == pytest.approx(theirs, rel=0, abs=1e-12, nan_ok=True)
    assert 0.1 < official.mean_ap < 0.6


def test_the_synthetic_world_scores_as_officially(synthetic_world, tmp_path):
    index = open_index(synthetic_world, "v1.0-synthetic")
    assert_official(index, list(read_frames(index, "synthetic_train", cameras=())), tmp_path)


def test_real_ground_truth_scores_as_officially(index, frames, tmp_path):
    assert_official(index, frames[::6], tmp_path)


def test_written_scores_are_read_like_official_files(tmp_path):
    predicted, gt_boxes = crowd(0, NUSCENES)
    found = score_boxes(predicted, gt_boxes, NUSCENES)
    found.write(tmp_path / "evaluation")
    again = read_scores(tmp_path / "evaluation")
    assert repr(again) == repr(found.scores)  # NaN does not equal itself
    assert read_details(tmp_path / "evaluation") == found.details
    assert sorted(path.name for path in (tmp_path / "evaluation").iterdir()) == [
        "metrics_details.json",
        "metrics_summary.json",
    ]

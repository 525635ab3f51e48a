"""The arithmetic of the metrics equals the devkit's bit for bit, on boxes of every kind."""

import numpy as np
import pytest
from devkit_metrics import single_boxes
from nuscenes.eval.common.utils import (
    attr_acc,
    center_distance,
    quaternion_yaw,
    velocity_l2,
    yaw_diff,
)
from nuscenes.eval.common.utils import scale_iou as devkit_scale_iou
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.utils.splits import create_splits_scenes
from pyquaternion import Quaternion

from bev.data.nuscenes.classes import ATTRIBUTES, CLASS_OF_CATEGORY, CLASSES, NUSCENES
from bev.data.nuscenes.splits import official_scenes
from bev.evaluation.detection.arithmetic import length, rotation_matrix, yaw
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.matching import assign, errors_of, pairs_within


def some_boxes(seed: int, count: int = 400) -> BoxColumns:
    rng = np.random.default_rng(seed)
    rotation = rng.normal(size=(count, 4))
    angle = rng.integers(-4, 5, count // 2) * np.pi / 8  # about z, some of them exact
    rotation[: count // 2] = np.stack([np.cos(angle), 0 * angle, 0 * angle, np.sin(angle)], 1)
    rotation[:3] = [[0, 0, 0, 1], [0, 0, 0, -1], [-1, 0, 0, 0]]
    velocity = rng.normal(size=(count, 2))
    velocity[::7] = np.nan
    return BoxColumns(
        ("a",),
        CLASSES,
        ATTRIBUTES,
        np.zeros(count, int),
        np.zeros(count, int),
        rng.integers(-1, len(ATTRIBUTES), count),
        rng.uniform(0, 2000, (count, 3)),
        rng.uniform(0.3, 12, (count, 3)),
        rotation,
        velocity,
        rng.random(count),
        np.full(count, -1),
        np.zeros(count, int),
    )


@pytest.mark.parametrize("name", ["car", "barrier"])
def test_errors_of_pairs_equal_the_devkits_to_the_bit(name):
    kind = NUSCENES.classes[CLASSES.index(name)]
    first, second = some_boxes(0), some_boxes(1)
    distance = length(second.translation[:, :2] - first.translation[:, :2])
    found = errors_of(first, second, distance, kind)
    period = np.pi if name == "barrier" else 2 * np.pi
    pairs = [*zip(single_boxes(first), single_boxes(second), strict=True)]
    expected = {
        "trans_err": [center_distance(gt, box) for box, gt in pairs],
        "scale_err": [1 - devkit_scale_iou(gt, box) for box, gt in pairs],
        "orient_err": [yaw_diff(gt, box, period) for box, gt in pairs],
        "vel_err": [velocity_l2(gt, box) for box, gt in pairs],
        "attr_err": [1 - attr_acc(gt, box) for box, gt in pairs],
    }
    for error, values in expected.items():
        np.testing.assert_array_equal(found[error], values, error)


def test_headings_equal_pyquaternions_to_the_bit():
    quaternions = some_boxes(2).rotation
    ours = rotation_matrix(quaternions)
    for matrix, heading, quaternion in zip(ours, yaw(quaternions), quaternions, strict=True):
        np.testing.assert_array_equal(matrix, Quaternion(quaternion).rotation_matrix)
        assert heading == quaternion_yaw(Quaternion(quaternion))


def test_pairs_are_found_in_every_sample_alike(monkeypatch):
    """Compared with all distances, in chunks of any size."""
    rng = np.random.default_rng(3)
    boxes = some_boxes(3, 300)

    def crowd(count):
        rows = rng.integers(0, 300, count)
        places = rng.uniform(0, 12, (count, 3)).round(1)
        return boxes.take(rows), places, rng.integers(0, 9, count)

    from dataclasses import replace

    columns = []
    for count in (200, 60):
        some, places, sample = crowd(count)
        columns.append(replace(some, translation=places, sample=sample))
    predicted, gt_boxes = columns
    apart = predicted.translation[:, None, :2] - gt_boxes.translation[None, :, :2]
    distance = np.sqrt((apart**2).sum(-1))
    distance[predicted.sample[:, None] != gt_boxes.sample[None]] = np.inf
    for chunk in (1, 7, 10**6):
        monkeypatch.setattr("bev.evaluation.detection.matching._CHUNK", chunk)
        first, second, far = pairs_within(predicted, gt_boxes, 4.0)
        assert {*zip(first.tolist(), second.tolist(), strict=True)} == {
            *zip(*(axis.tolist() for axis in np.nonzero(distance < 4.0)), strict=True)
        }
        np.testing.assert_allclose(far, distance[first, second], rtol=1e-12)
        order = [*zip(first, far, second, strict=True)]
        assert order == sorted(order)


def test_each_box_is_assigned_once_best_detection_first():
    """Detection 0 takes box 1, so detection 1 is left with box 0, and detection 2 with none."""
    detection, gt_box = np.array([0, 0, 1, 1, 2]), np.array([1, 0, 1, 0, 1])
    assert assign(detection, gt_box).tolist() == [0, 3]


def test_classes_and_splits_are_the_devkits():
    assert {name: category_to_detection_name(name) for name in CLASS_OF_CATEGORY} == (
        CLASS_OF_CATEGORY
    )
    assert category_to_detection_name("animal") is None and "animal" not in CLASS_OF_CATEGORY
    splits = {name: frozenset(scenes) for name, scenes in create_splits_scenes().items()}
    assert official_scenes() == splits

"""Metrics from stored matches equal the official ones, also for resampled data sets."""

import numpy as np
import pytest
from devkit_metrics import devkit_metrics, given_metrics, noisy, single_boxes
from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.common.data_classes import EvalBoxes

from bev.data.nuscenes.classes import CLASS_RANGE
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.evaluation.detection.columns import BoxColumns
from bev.evaluation.detection.metrics import (
    DISTANCES,
    ERROR_DISTANCE,
    MAX_BOXES,
    MEAN_AP_WEIGHT,
    MIN_PRECISION,
    MIN_RECALL,
)
from bev.evaluation.nuscenes.official import counted_boxes, match
from bev.evaluation.nuscenes.submission import write_submission

SPLIT = "synthetic_train"


def assert_official(path, nusc, index, split, folder):
    """Compare with the devkit's own evaluation."""
    official = devkit_metrics(nusc, path, split, folder)
    matches = match(counted_boxes(path, index, split))
    scores = matches.scores(np.ones(len(matches.tokens), dtype=int))
    assert scores == pytest.approx((official.mean_ap, official.nd_score), rel=0, abs=1e-9)
    assert 0.1 < official.mean_ap < 0.6


@pytest.fixture(scope="module")
def synthetic_index(synthetic_world):
    return open_index(synthetic_world, "v1.0-synthetic")


@pytest.fixture(scope="module")
def synthetic_nusc(synthetic_world):
    return NuScenes("v1.0-synthetic", str(synthetic_world), verbose=False)


@pytest.mark.parametrize("seed", [0, 1])
def test_all_weights_one_is_the_official_metric(synthetic_index, synthetic_nusc, tmp_path, seed):
    """Predictions with many equal scores, whose order matters."""
    path = write_submission(tmp_path / "r.json", noisy(read_frames(synthetic_index, SPLIT), seed))
    assert_official(path, synthetic_nusc, synthetic_index, SPLIT, tmp_path)


@pytest.mark.slow
def test_all_weights_one_is_the_official_metric_on_real_ground_truth(
    index, nusc, noisy_file, tmp_path
):
    assert_official(noisy_file, nusc, index, "mini_val", tmp_path)


def test_weights_act_as_copies_of_samples(synthetic_index, tmp_path):
    """Compared with the devkit's evaluation of a data set with repeated and omitted samples."""
    rng = np.random.default_rng(0)
    rows = noisy(read_frames(synthetic_index, SPLIT))
    for row in (row for own in rows.values() for row in own):
        row["detection_score"] = float(rng.random())  # copies of equal scores have no defined order
    boxes = counted_boxes(write_submission(tmp_path / "r.json", rows), synthetic_index, SPLIT)
    matches = match(boxes)
    for weights in rng.multinomial(len(matches.tokens), [1 / len(matches.tokens)] * 8, size=5):
        copies = [
            (token, f"{token} {number}")
            for token, weight in zip(matches.tokens, weights, strict=True)
            for number in range(weight)
        ]
        predicted, gt_boxes = (_copied(some, copies) for some in (boxes.predicted, boxes.gt_boxes))
        summary, _ = given_metrics(predicted, gt_boxes)
        expected = (summary["mean_ap"], summary["nd_score"])
        assert matches.scores(weights) == pytest.approx(expected, rel=0, abs=1e-9)


def test_no_predictions_score_zero(synthetic_index, tmp_path):
    rows = {frame.token: [] for frame in read_frames(synthetic_index, SPLIT)}
    path = write_submission(tmp_path / "r.json", rows)
    matches = match(counted_boxes(path, synthetic_index, SPLIT))
    assert matches.scores(np.ones(len(matches.tokens), dtype=int)) == (0, 0)


def test_the_settings_equal_the_devkits():
    config = config_factory("detection_cvpr_2019")
    assert (list(DISTANCES), ERROR_DISTANCE) == (config.dist_ths, config.dist_th_tp)
    assert config.class_range == CLASS_RANGE
    assert (config.min_recall, config.min_precision) == (MIN_RECALL, MIN_PRECISION)
    assert (config.mean_ap_weight, config.max_boxes_per_sample) == (MEAN_AP_WEIGHT, MAX_BOXES)


def _copied(boxes: BoxColumns, copies: list[tuple[str, str]]) -> EvalBoxes:
    found = EvalBoxes()
    for token, name in copies:
        own = boxes.take(boxes.sample == boxes.tokens.index(token))
        found.add_boxes(name, single_boxes(own))
        for box in found[name]:
            box.sample_token = name
    return found

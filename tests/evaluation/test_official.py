"""The official metrics on real annotations: ground truth as predictions, and refusals."""

import math

import numpy as np
import pytest
from devkit_metrics import noisy
from ground_truth import gt_submission

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.errors import DataError, SubmissionError
from bev.evaluation.nuscenes.official import evaluate_submission
from bev.evaluation.nuscenes.submission import write_submission


def test_every_annotated_box_as_prediction(index, frames, tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", gt_submission(frames, 0))
    metrics = evaluate_submission(path, index, "mini_val", tmp_path)
    assert metrics.mean_ap == pytest.approx(0.630, abs=0.0005)


def test_boxes_with_points_as_prediction_score_perfectly(index, frames, tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", gt_submission(frames))
    metrics = evaluate_submission(path, index, "mini_val", tmp_path)
    # Seven of the ten classes occur, and their boxes have no errors.
    absent = {"construction_vehicle", "trailer", "barrier"}
    assert metrics.mean_ap == pytest.approx(0.7, abs=1e-9)
    for name, ap in metrics.class_ap.items():
        assert ap == pytest.approx(0.0 if name in absent else 1.0)
        for error, value in metrics.class_errors[name].items():
            if name not in absent and not math.isnan(value):
                assert value < 1e-3, (name, error)
    assert metrics.trans_err == pytest.approx(0.3, abs=1e-3)


def test_any_list_of_samples_can_be_evaluated(index, frames, noisy_file, tmp_path):
    """Each list is scored on its own samples, as for folds, and the data root is unchanged."""
    first, second = [f.token for f in frames[:10]], [f.token for f in frames[10:25]]
    scores = [
        evaluate_submission(noisy_file, index, tokens, tmp_path / str(number)).mean_ap
        for number, tokens in enumerate((first, second, first + second))
    ]
    assert len(set(scores)) == 3
    alone = write_submission(tmp_path / "alone.json", noisy(frames[:10]))
    twice = evaluate_submission(alone, index, [*first, *first], tmp_path / "twice")
    assert twice.mean_ap == scores[0]
    with pytest.raises(SubmissionError, match="lacks 15 of the 15 samples of the samples asked"):
        evaluate_submission(alone, index, second, tmp_path / "missing")
    with pytest.raises(DataError, match="no sample 'nowhere'"):
        evaluate_submission(alone, index, ["nowhere"], tmp_path / "missing")
    with pytest.raises(DataError, match="no sample to evaluate"):
        evaluate_submission(alone, index, [], tmp_path / "missing")


def test_boxes_beyond_a_range_do_not_count(index, frames, tmp_path):
    """Only boxes beyond 20 m are missing, so the score is complete for a range of 20 m."""
    some = frames[:20]
    rows = gt_submission(some)
    poses = {f.token: f.global_from_ego[:2, 3].numpy() for f in some}
    kept = {
        token: [b for b in boxes if np.hypot(*(b["translation"][:2] - poses[token])) < 20]
        for token, boxes in rows.items()
    }
    assert 0 < sum(map(len, kept.values())) < sum(map(len, rows.values()))
    path = write_submission(tmp_path / "near.json", kept)
    whole = write_submission(tmp_path / "whole.json", rows)

    def mean_ap(file, *within):
        return evaluate_submission(file, index, [*rows], tmp_path, *within).mean_ap

    assert mean_ap(path, 20) == mean_ap(whole, 20) > mean_ap(path, 35) > mean_ap(path, 100)
    assert mean_ap(path, 100) == mean_ap(path)


def test_no_predictions_at_all(index, frames, tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", {f.token: [] for f in frames})
    metrics = evaluate_submission(path, index, "mini_val", tmp_path)
    assert metrics.mean_ap == metrics.nd_score == 0
    assert metrics.scores().figures["mATE"] == 1.0
    assert math.isnan(metrics.class_errors["traffic_cone"]["orient_err"])


def test_missing_samples_are_counted_and_named(index, frames, tmp_path):
    rows = gt_submission(frames)
    gone = [frames[5].token, frames[9].token]
    kept = {token: row for token, row in rows.items() if token not in gone}
    path = write_submission(tmp_path / "results_nusc.json", kept)
    with pytest.raises(SubmissionError, match=rf"lacks 2 of the 81 samples.*{gone[0]}"):
        evaluate_submission(path, index, "mini_val", tmp_path)


def test_samples_beyond_the_split_are_left_out(index, frames, tmp_path):
    rows = gt_submission(frames)
    path = write_submission(
        tmp_path / "results_nusc.json", {**rows, "another": rows[frames[0].token]}
    )
    assert evaluate_submission(path, index, "mini_val", tmp_path).mean_ap == pytest.approx(0.7)


def test_more_boxes_than_allowed_and_bad_rows_are_refused(index, frames, tmp_path):
    rows = gt_submission(frames)
    token = frames[0].token
    path = tmp_path / "results_nusc.json"
    write_submission(path, {**rows, token: rows[token][:1] * 501})
    with pytest.raises(SubmissionError, match="501 boxes; 500 are allowed"):
        evaluate_submission(path, index, "mini_val", tmp_path)
    write_submission(path, {**rows, token: [{**rows[token][0], "detection_name": "tram"}]})
    with pytest.raises(SubmissionError, match=rf"{token}, box 0: 'detection_name' is 'tram'"):
        evaluate_submission(path, index, "mini_val", tmp_path)


def test_an_unknown_split_is_named(index, noisy_file, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        evaluate_submission(noisy_file, index, "nowhere", tmp_path)


def test_ground_truth_of_the_synthetic_world_scores_perfectly(synthetic_world, tmp_path):
    """Reading, moving to the ego frame and back, writing and scoring lose nothing."""
    index = open_index(synthetic_world, "v1.0-synthetic")
    rows = gt_submission(read_frames(index, "synthetic_train"))
    path = write_submission(tmp_path / "results_nusc.json", rows)
    metrics = evaluate_submission(path, index, "synthetic_train", tmp_path)
    present = {row["detection_name"] for boxes in rows.values() for row in boxes}
    assert len(present) >= 9
    assert all(metrics.class_ap[name] >= 0.99 for name in present)
    assert all(metrics.class_errors[name]["trans_err"] < 1e-3 for name in present)
    worst = max(e for name in present for e in metrics.class_errors[name].values() if e == e)
    assert worst < 0.02

"""The official metrics on real annotations: truth as predictions, and agreement with the devkit."""

import json
import math
from dataclasses import replace

import pytest
import torch
from nuscenes import NuScenes
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.evaluate import DetectionEval

from bev.data.index_cache import open_index
from bev.data.nuscenes import read_frames
from bev.errors import DataError, SubmissionError
from bev.evaluation import (
    Metrics,
    evaluate_submission,
    read_details,
    read_metrics,
    submission_rows,
    truth_submission,
    write_submission,
)


@pytest.fixture(scope="module")
def index(nuscenes_root):
    """The whole mini_val split: 81 samples, 4514 annotations."""
    return open_index(nuscenes_root, "v1.0-valgt-mini")


@pytest.fixture(scope="module")
def nusc(index):
    return NuScenes(index.version, str(index.root), verbose=False)


@pytest.fixture(scope="module")
def frames(index):
    return list(read_frames(index, "mini_val", cameras=()))


@pytest.fixture(scope="module")
def noisy_file(frames, tmp_path_factory):
    """Truth with noise, misses, wrong classes and scores: no figure is trivial."""
    chance = torch.Generator().manual_seed(3)
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
            score=torch.rand(count, generator=chance),
            attribute=torch.full_like(boxes.attribute, -1),
            label=torch.where(
                torch.rand(count, generator=chance) < 0.1, (boxes.label + 1) % 10, boxes.label
            ),
        )
        boxes = boxes[torch.rand(count, generator=chance) < 0.8]
        rows[frame.token] = submission_rows(frame.token, boxes, frame.global_from_ego)
    return write_submission(tmp_path_factory.mktemp("noisy") / "results_nusc.json", rows)


def test_every_annotated_box_as_prediction(index, frames, tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", truth_submission(frames, 0))
    metrics = evaluate_submission(path, index, "mini_val", tmp_path)
    assert metrics.mean_ap == pytest.approx(0.630, abs=0.0005)


def test_boxes_with_points_as_prediction_score_all_there_is(index, frames, tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", truth_submission(frames))
    metrics = evaluate_submission(path, index, "mini_val", tmp_path)
    # Seven of the ten classes occur, and nothing about them is wrong.
    absent = {"construction_vehicle", "trailer", "barrier"}
    assert metrics.mean_ap == pytest.approx(0.7, abs=1e-9)
    for name, ap in metrics.class_ap.items():
        assert ap == pytest.approx(0.0 if name in absent else 1.0)
        for error, value in metrics.class_errors[name].items():
            if name not in absent and not math.isnan(value):
                assert value < 1e-3, (name, error)
    assert metrics.trans_err == pytest.approx(0.3, abs=1e-3)


def test_figures_and_files_are_the_devkits_own(index, nusc, noisy_file, tmp_path, capsys):
    ours = evaluate_submission(noisy_file, index, "mini_val", tmp_path / "ours")
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
    theirs = DetectionEval(
        nusc,
        config_factory("detection_cvpr_2019"),
        str(noisy_file),
        "mini_val",
        str(tmp_path / "theirs"),
        verbose=False,
    ).main(render_curves=False)
    assert 0.05 < ours.mean_ap < 0.6
    assert ours.mean_ap == theirs["mean_ap"]
    assert ours.nd_score == theirs["nd_score"]
    names = {p.name for p in (tmp_path / "ours").iterdir()}
    assert names == {"metrics_summary.json", "metrics_details.json"}
    details = [
        json.loads((tmp_path / d / "metrics_details.json").read_text()) for d in ("ours", "theirs")
    ]
    assert details[0] == details[1]
    summaries = [
        json.loads((tmp_path / d / "metrics_summary.json").read_text()) for d in ("ours", "theirs")
    ]
    for summary in summaries:
        summary.pop("eval_time")
    assert json.dumps(summaries[0]) == json.dumps(summaries[1])  # as text: NaN equals NaN
    assert read_details(tmp_path / "ours")["car:0.5"]["recall"][-1] == 1.0
    assert repr(read_metrics(tmp_path / "ours")) == repr(ours)


def test_a_custom_split_agrees_with_the_devkit(index, nusc, noisy_file, tmp_path, monkeypatch):
    # The devkit keeps the place of splits.json in a function of its own, so that tests can move it.
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"only_0103": ["scene-0103"]}))
    monkeypatch.setattr("nuscenes.utils.splits._get_custom_splits_file_path", lambda nusc: splits)
    ours = evaluate_submission(noisy_file, index, "only_0103", tmp_path / "ours")
    theirs = DetectionEval(
        nusc,
        config_factory("detection_cvpr_2019"),
        str(noisy_file),
        "only_0103",
        str(tmp_path / "theirs"),
        verbose=False,
    ).main(render_curves=False)
    assert repr(ours) == repr(Metrics.from_summary(theirs))


def test_no_predictions_at_all(index, frames, tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", {f.token: [] for f in frames})
    metrics = evaluate_submission(path, index, "mini_val", tmp_path)
    assert metrics.mean_ap == metrics.nd_score == 0
    assert metrics.scalars()["mATE"] == 1.0
    assert math.isnan(metrics.class_errors["traffic_cone"]["orient_err"])


def test_missing_samples_are_counted_and_named(index, frames, tmp_path):
    rows = truth_submission(frames)
    gone = [frames[5].token, frames[9].token]
    kept = {token: row for token, row in rows.items() if token not in gone}
    path = write_submission(tmp_path / "results_nusc.json", kept)
    with pytest.raises(SubmissionError, match=rf"lacks 2 of the 81 samples.*{gone[0]}"):
        evaluate_submission(path, index, "mini_val", tmp_path)


def test_samples_beyond_the_split_are_left_out(index, frames, tmp_path):
    rows = truth_submission(frames)
    path = write_submission(
        tmp_path / "results_nusc.json", {**rows, "another": rows[frames[0].token]}
    )
    assert evaluate_submission(path, index, "mini_val", tmp_path).mean_ap == pytest.approx(0.7)


def test_more_boxes_than_allowed_and_bad_rows_are_refused(index, frames, tmp_path):
    rows = truth_submission(frames)
    token = frames[0].token
    path = tmp_path / "results_nusc.json"
    write_submission(path, {**rows, token: rows[token][:1] * 501})
    with pytest.raises(SubmissionError, match="501 boxes; 500 are allowed"):
        evaluate_submission(path, index, "mini_val", tmp_path)
    write_submission(path, {**rows, token: [{**rows[token][0], "detection_name": "tram"}]})
    with pytest.raises(SubmissionError, match=r"devkit refuses.*tram"):
        evaluate_submission(path, index, "mini_val", tmp_path)


def test_an_unknown_split_is_named(index, noisy_file, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        evaluate_submission(noisy_file, index, "nowhere", tmp_path)


def test_truth_of_the_made_world_scores_full_marks(made_world, tmp_path):
    """Boxes read, moved to the ego frame and back, written, scored: nothing is lost on the way."""
    index = open_index(made_world, "v1.0-synthetic")
    rows = truth_submission(read_frames(index, "synthetic_train"))
    path = write_submission(tmp_path / "results_nusc.json", rows)
    metrics = evaluate_submission(path, index, "synthetic_train", tmp_path)
    present = {row["detection_name"] for boxes in rows.values() for row in boxes}
    assert len(present) >= 9
    assert all(metrics.class_ap[name] >= 0.99 for name in present)
    assert all(metrics.class_errors[name]["trans_err"] < 1e-3 for name in present)
    worst = max(e for name in present for e in metrics.class_errors[name].values() if e == e)
    assert worst < 0.02

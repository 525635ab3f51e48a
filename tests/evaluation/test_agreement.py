"""Metrics from the index equal those of the devkit's own evaluation to 1e-9."""

import json
from dataclasses import replace

import numpy as np
import pytest
from devkit_metrics import assert_equal, devkit_metrics, noisy
from ground_truth import gt_submission
from nuscenes import NuScenes

from bev.data.nuscenes.classes import CLASSES
from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.data.nuscenes.splits import split_rows
from bev.errors import DataError
from bev.evaluation.nuscenes.ground_truth import counted, gt_boxes_of
from bev.evaluation.nuscenes.official import evaluate_submission, read_metrics
from bev.evaluation.nuscenes.submission import write_submission
from bev.evaluation.scores import read_details
from bev.lab.benchmark.synthetic_tables import VERSION


def test_metrics_and_files_equal_the_devkits(index, nusc, noisy_file, tmp_path, capsys):
    ours = evaluate_submission(noisy_file, index, "mini_val", tmp_path / "ours")
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""
    theirs = devkit_metrics(nusc, noisy_file, "mini_val", tmp_path / "theirs")
    assert_equal(ours, theirs)
    assert 0.05 < ours.mean_ap < 0.6
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
    # Functions return the path of splits.json; the test replaces them.
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"only_0103": ["scene-0103"]}))
    monkeypatch.setattr("nuscenes.utils.splits._get_custom_splits_file_path", lambda nusc: splits)
    monkeypatch.setattr(
        "bev.data.nuscenes.splits.own_splits", lambda folder: json.loads(splits.read_text())
    )
    theirs = devkit_metrics(nusc, noisy_file, "only_0103", tmp_path / "theirs")
    ours = evaluate_submission(noisy_file, index, "only_0103", tmp_path / "split")
    assert_equal(ours, theirs)
    # The same samples by their tokens, in any order.
    rows = split_rows(index, "only_0103")[::-1]
    tokens = [index.token_of(int(row)) for row in rows]
    assert_equal(evaluate_submission(noisy_file, index, tokens, tmp_path / "tokens"), theirs)


def test_bicycles_in_racks_do_not_count(rack_tables):
    """Agreement on these tables therefore covers the filter of bicycles in racks."""
    index = open_index(rack_tables, VERSION)
    gt_boxes = gt_boxes_of(index, range(len(index.sample.token)))
    cycles = [CLASSES.index("bicycle"), CLASSES.index("motorcycle")]
    outside = replace(gt_boxes, label=np.where(np.isin(gt_boxes.label, cycles), 0, gt_boxes.label))
    ranges = dict.fromkeys(CLASSES, 40.0)
    assert 0 < len(counted(index, gt_boxes, ranges)) < len(counted(index, outside, ranges))


def test_synthetic_tables_agree_with_the_devkit(rack_tables, tmp_path):
    index = open_index(rack_tables, VERSION)
    nusc = NuScenes(VERSION, str(rack_tables), verbose=False)
    frames = list(read_frames(index, "train", cameras=()))
    path = write_submission(tmp_path / "results_nusc.json", noisy(frames[::-1]))
    theirs = devkit_metrics(nusc, path, "train", tmp_path / "theirs")
    ours = evaluate_submission(path, index, "train", tmp_path / "ours")
    assert_equal(ours, theirs)
    assert 0.1 < ours.mean_ap < 0.6 and 0.05 < ours.class_ap["bicycle"] < 0.9
    details = [read_details(tmp_path / name) for name in ("ours", "theirs")]
    assert details[0] == details[1]


@pytest.mark.parametrize("split", ["synthetic_train", "synthetic_val"])
def test_the_synthetic_world_agrees_with_the_devkit(synthetic_world, tmp_path, split):
    index = open_index(synthetic_world, "v1.0-synthetic")
    nusc = NuScenes("v1.0-synthetic", str(synthetic_world), verbose=False)
    path = write_submission(tmp_path / "r.json", noisy(read_frames(index, split)))
    theirs = devkit_metrics(nusc, path, split, tmp_path / "theirs")
    assert_equal(evaluate_submission(path, index, split, tmp_path / "ours"), theirs)


def test_samples_without_lidar_are_measured_from_the_camera(rack_tables, tmp_path):
    """The devkit fails there; a rig without lidar is evaluated from its reference ego pose."""
    tables = rack_tables / VERSION
    whole = open_index(rack_tables, VERSION)
    frames = read_frames(whole, "train", cameras=())
    path = write_submission(tmp_path / "results_nusc.json", gt_submission(frames))
    with_lidar = evaluate_submission(path, whole, "train", tmp_path / "with")
    rows = json.loads((tables / "sample_data.json").read_text())
    kept = [row for row in rows if "LIDAR_TOP" not in row["filename"]]
    (tables / "sample_data.json").write_text(json.dumps(kept))
    bare = open_index(rack_tables, VERSION)
    without = evaluate_submission(path, bare, "train", tmp_path / "without")
    assert without.mean_ap == pytest.approx(with_lidar.mean_ap, abs=0.02)


def test_attributes_that_the_metrics_do_not_allow_are_named(rack_tables, tmp_path):
    path = write_submission(tmp_path / "results_nusc.json", {})
    file = rack_tables / VERSION / "attribute.json"
    file.write_text(file.read_text().replace("vehicle.moving", "vehicle.flying"))
    index = open_index(rack_tables, VERSION)
    assert (read_frames(index, "train", ())[0].boxes.attribute >= -1).all()
    tokens = [index.token_of(0)]
    path = write_submission(path, {tokens[0]: []})
    with pytest.raises(DataError, match=r"metrics refuse \('vehicle.flying' 3\)"):
        evaluate_submission(path, index, tokens, tmp_path)


def test_a_data_set_without_annotations_is_left_to_the_server(rack_tables, tmp_path):
    for table in ("sample_annotation", "instance"):
        (rack_tables / VERSION / f"{table}.json").write_text("[]")
    index = open_index(rack_tables, VERSION)
    assert len(read_frames(index, "train", ())[0].boxes) == 0
    with pytest.raises(DataError, match=r"no annotations.*benchmark's server"):
        evaluate_submission(tmp_path / "results_nusc.json", index, "train", tmp_path)

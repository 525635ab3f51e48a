"""``bevlab report``: several evaluations on one page."""

import json

import pytest
from commands import attempt, call
from ground_truth import gt_submission
from report_page import read_page

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.evaluation.nuscenes.submission import write_submission


@pytest.fixture
def results(synthetic_world, tmp_path):
    """Ground truth as predictions, with all boxes and with every second one, both scored."""
    frames = read_frames(open_index(synthetic_world, "v1.0-synthetic"), "synthetic_val", cameras=())
    rows = gt_submission(frames)
    place = ["--data.root", synthetic_world, "--data.version", "v1.0-synthetic",
             "--split", "synthetic_val"]  # fmt: skip
    half = {token: boxes[::2] for token, boxes in rows.items()}
    for name, some in (("whole", rows), ("half", half)):
        path = write_submission(tmp_path / name / "results_nusc.json", some)
        call("evaluate.py", path, *place, "--pictures", "0")
    return place


@pytest.mark.long
def test_evaluations_are_compared_with_the_first(results, tmp_path):
    sources = [tmp_path / "whole", tmp_path / "half" / "results_nusc.json"]
    call("report.py", *sources, *results, "--out", tmp_path / "both", "--replicates", "20")
    page = read_page(tmp_path / "both" / "report.html").summary["comparison"]
    assert page["runs"] == ["whole", "half"] or page["runs"][0].endswith("whole")
    scores = [
        json.loads((tmp_path / name / "metrics_summary.json").read_text())
        for name in ("whole", "half")
    ]
    (row,) = [one for one in page["figures"] if one["name"] == "mAP"]
    values = [one["mean_ap"] for one in scores]
    assert row["values"] == pytest.approx(values, rel=1e-4) and row["changes"][0] is None
    change = row["changes"][1]
    assert change["value"] == pytest.approx(values[1] - values[0], rel=1e-4)
    assert change["low"] <= change["value"] <= change["high"] < 0
    assert {one["name"] for one in page["classes"]} == {*scores[0]["label_aps"]}
    assert all(one["errors"][0] == 0 < one["errors"][1] for one in page["samples"])
    assert [len(one["means"]) for one in page["groups"]] == [2] * 5


@pytest.mark.long
def test_what_cannot_be_compared_is_named(results, tmp_path):
    status, _, error = attempt("report.py", tmp_path / "whole")
    assert status == 1 and "at least two" in error
    status, _, error = attempt("report.py", tmp_path / "whole", tmp_path / "half")
    assert status == 1 and "give --data.root, --data.version and --split" in error
    status, _, error = attempt("report.py", tmp_path, tmp_path / "half", *results)
    assert status == 1 and "neither the folder of a run" in error

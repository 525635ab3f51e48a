"""Repeating an evaluation's samples, to measure a report of many."""

import numpy as np
from commands import call
from made_boxes import crowded
from report_page import read_page

from bev.lab.benchmark.scoring.report import repeat


def test_repeated_samples_are_those_of_the_evaluation():
    given = crowded(1)
    size = len(given.matches.tokens)
    many = repeat(given, 3 * size - 2, 40)
    tokens = many.matches.tokens
    assert len({*tokens}) == len(tokens) == 3 * size - 2
    for number, token in enumerate(tokens):
        source = given.matches.tokens.index(token.rpartition("-")[0])
        assert many.scenes[number] == given.scenes[source]
        own, copied = (
            boxes.translation[boxes.sample == row]
            for boxes, row in ((given.gt_boxes, source), (many.gt_boxes, number))
        )
        np.testing.assert_array_equal(own, copied)
    counts = np.bincount(many.predicted.sample, minlength=len(tokens))
    assert {*counts.tolist()} <= {0, 40}
    assert 0 < many.matches.metrics(np.ones(len(tokens), int)).mean_ap < 1


def test_the_report_of_many_samples_is_measured(synthetic_world, tmp_path):
    """The results are read as any; the page opens every repeated sample."""
    from ground_truth import gt_submission

    from bev.data.nuscenes.frames import read_frames
    from bev.data.nuscenes.index_cache import open_index
    from bev.evaluation.nuscenes.submission import write_submission

    frames = read_frames(open_index(synthetic_world, "v1.0-synthetic"), "synthetic_val", cameras=())
    path = write_submission(tmp_path / "results_nusc.json", gt_submission(frames))
    out, _ = call(
        "benchmark.py", "report", "--results", path, "--data.root", synthetic_world,
        "--data.version", "v1.0-synthetic", "--split", "synthetic_val", "--samples", "10",
        "--boxes", "50", "--pictures", "1", "--out", tmp_path,
    )  # fmt: skip
    page = read_page(tmp_path / "report.html")
    assert len(page.samples["list"]["tokens"]) == 10 and len(page.pictures["mosaics"]) == 2
    assert "MB" in out and (tmp_path / "report.csv").is_file()

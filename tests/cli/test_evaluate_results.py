"""``bevlab evaluate RESULTS.json``: figures, files, refusals, and what it does not import."""

import json

import isolated
import pytest
from commands import ROOT, attempt, call
from ground_truth import gt_submission
from report_page import read_page

from bev.data.nuscenes.frames import read_frames
from bev.data.nuscenes.index_cache import open_index
from bev.evaluation.nuscenes.submission import write_submission

CODE = """
import json, sys
from bev.cli import evaluate
evaluate.main(sys.argv[1:], "evaluate")
print(json.dumps(sorted(sys.modules)))
"""


def arguments(root, tmp_path):
    frames = read_frames(open_index(root, "v1.0-synthetic"), "synthetic_val", cameras=())
    path = write_submission(tmp_path / "results_nusc.json", gt_submission(frames))
    return [
        path, "--data.root", root, "--data.version", "v1.0-synthetic", "--split", "synthetic_val",
    ]  # fmt: skip


def test_scoring_imports_neither_torch_nor_the_devkit(synthetic_world, tmp_path):
    """Nor the libraries that these bring along; matplotlib draws the curves, without pictures."""
    given = [*arguments(synthetic_world, tmp_path), "--pictures", "0"]
    *printed, last = isolated.run(["-c", CODE, *given], PYTHONPATH=str(ROOT)).splitlines()
    loaded = {name.split(".")[0] for name in json.loads(last)}
    heavy = {"torch", "torchvision", "lightning", "timm", "nuscenes", "sklearn", "scipy", "cv2"}
    assert loaded & heavy == set() and "matplotlib" in loaded
    assert printed[0] == "synthetic_val" and printed[1].split()[:2] == ["mAP", "NDS"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"results_nusc.json", "metrics_summary.json", "metrics_details.json",
                     "pr_curves.png", "report.html"}  # fmt: skip


def test_the_report_has_pictures_of_the_extremes_and_every_sample(synthetic_world, tmp_path):
    call("evaluate.py", *arguments(synthetic_world, tmp_path), "--pictures", "1")
    page = read_page(tmp_path / "report.html")
    tokens = page.samples["list"]["tokens"]
    assert len(tokens) == 4 and {*page.pictures["mosaics"]} == {
        tokens[row] for row in (*page.summary["best"], *page.summary["worst"])
    }
    names = [one["name"] for one in page.summary["analysis"]["groups"]]
    assert names == ["range", "azimuth", "visibility", "size", "speed"]
    assert page.figures["mAP"] == pytest.approx(
        json.loads((tmp_path / "metrics_summary.json").read_text())["mean_ap"]
    )
    assert "--pictures 1" in dict(page.summary["provenance"])["Command"]


def test_settings_of_a_network_are_refused(synthetic_world, tmp_path):
    given = arguments(synthetic_world, tmp_path)
    status, _, error = attempt("evaluate.py", *given, "--flip-tta")
    assert status == 2 and "--flip-tta" in error
    status, _, error = attempt("evaluate.py", given[0])
    assert status == 1 and "does not name its data: give --data.root" in error

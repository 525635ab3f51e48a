"""``bevlab evaluate RESULTS.json``: figures, files, refusals, and what it does not import."""

import json

import isolated
from commands import ROOT, attempt
from ground_truth import gt_submission

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
    """Nor the libraries that these bring along; matplotlib draws the curves."""
    given = arguments(synthetic_world, tmp_path)
    *printed, last = isolated.run(["-c", CODE, *given], PYTHONPATH=str(ROOT)).splitlines()
    loaded = {name.split(".")[0] for name in json.loads(last)}
    heavy = {"torch", "torchvision", "lightning", "timm", "nuscenes", "sklearn", "scipy", "cv2"}
    assert loaded & heavy == set() and "matplotlib" in loaded
    assert printed[0] == "synthetic_val" and printed[1].split()[:2] == ["mAP", "NDS"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"results_nusc.json", "metrics_summary.json", "metrics_details.json",
                     "pr_curves.png", "report.html"}  # fmt: skip


def test_settings_of_a_network_are_refused(synthetic_world, tmp_path):
    given = arguments(synthetic_world, tmp_path)
    status, _, error = attempt("evaluate.py", *given, "--flip-tta")
    assert status == 2 and "--flip-tta" in error
    status, _, error = attempt("evaluate.py", given[0])
    assert status == 1 and "does not name its data: give --data.root" in error

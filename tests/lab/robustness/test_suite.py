"""The suite: conditions, resuming, tables; and that a lost camera is missed where it looks."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from commands import call
from PIL import Image

from bev.data.images.corruptions.corruption import KINDS
from bev.evaluation.robustness.perturbation import Perturbation
from bev.lab.robustness.conditions import CLEAN, DEFAULT, GROUPS, conditions
from bev.lab.robustness.robobev import mean_corruption_error
from bev.lab.robustness.suite import Outcome, evaluated
from bev.lab.robustness.table import Results
from bev.training.checkpoint import load_checkpoint

CAMERAS = ("CAM_FRONT", "CAM_BACK")
NUSCENES = {
    "version": "v1.0-trainval", "split": "val", "samples": 6019, "every": 1,
    "image_size": "1600x900",
    "cameras": ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_LEFT", "CAM_BACK",
                "CAM_BACK_RIGHT"],
}  # fmt: skip


def results(identity=NUSCENES, done=1.0):
    """A suite whose NDS is 0.4, and 0.3, 0.2 and 0.1 at the three levels."""
    planned = conditions(DEFAULT, CAMERAS, 0)
    levels = {"": 0.4, "easy": 0.3, "mid": 0.2, "hard": 0.1}
    outcomes = {
        one.name: Outcome({"mAP": 0.2, "NDS": levels.get(one.level, 0.3)}, {"front": 0.5})
        for one in planned[: math.ceil(done * len(planned))]
    }
    return Results(identity, planned, outcomes)


def test_every_condition_has_a_name_and_a_perturbation_of_its_own():
    planned = conditions(tuple(GROUPS), CAMERAS, 3)
    assert len({one.name for one in planned}) == len(planned) == 1 + 24 + 2 + 2 + 3 * 5
    # With two cameras, one dropped is the other alone.
    assert len({one.perturbation for one in planned}) == len(planned) - 2
    assert planned[0].name == CLEAN and planned[0].perturbation == Perturbation()
    assert "Fog hard" in {one.name for one in planned}
    assert {one.perturbation.noise_seed for one in planned if one.level} == {3}
    assert not [one for one in conditions(DEFAULT, CAMERAS[:1], 0) if one.group == "dropped"]


def test_the_summary_has_the_published_names_where_the_protocol_is_kept():
    summary = results().summary()
    nds = {kind: (0.3, 0.2, 0.1) for kind in KINDS}
    assert summary["mCE"] == pytest.approx(mean_corruption_error(nds))
    assert summary["mRR"] == pytest.approx(0.5) == summary["mean NDS ratio, corruptions"]
    for name, other in (
        ("split", "train"), ("every", 5), ("image_size", "800x450"), ("samples", 6018),
        ("cameras", ["CAM_FRONT"]),
    ):  # fmt: skip
        own = results({**NUSCENES, name: other}).summary()
        assert "mCE" not in own and own["mRR formula"] == summary["mRR"]
    assert "mCE" not in results(done=0.3).summary()  # not all corruptions are done


def test_a_model_without_boxes_has_ratios_of_its_first_figure():
    planned = conditions(("intrinsics",), CAMERAS, 0)
    values = [0.5, 0.5, 0.25, 0.0]
    outcomes = {o.name: Outcome({"IoU_road": v}) for o, v in zip(planned, values, strict=True)}
    own = Results(NUSCENES, planned, outcomes)
    assert own.summary() == {"mean IoU_road ratio, intrinsics": 0.5}
    assert "IoU_road" in own.text()


@pytest.fixture(scope="module")
def command(single, synthetic_world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    return [str(single), "--groups", "intrinsics", "--data.root", str(synthetic_world), "--every",
            "2", "--out", str(folder / "out")], folder / "out"  # fmt: skip


def test_a_suite_continues_where_it_stopped_and_refuses_another(command):
    arguments, out = command
    called = []

    def counted(condition, model, data, split, every):
        called.append(condition.name)
        if len(called) == 3:
            raise KeyboardInterrupt
        if condition.name == CLEAN:
            return evaluated(condition, model, data, split, every)
        return Outcome({"mAP": 0.1, "NDS": 0.1, "mAVE": math.nan})

    with patch("bev.lab.robustness.suite.evaluated", counted):
        call("robustness.py", *arguments, code=130)
        assert len(list((out / "conditions").glob("*.json"))) == 2
        call("robustness.py", *arguments)
        assert len(called) == 5  # the one that was interrupted, and the last
    before = {path: path.read_bytes() for path in (out / "conditions").glob("*.json")}
    with (out / "robustness.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["condition"] for row in rows] == [
        CLEAN, "intrinsic noise 0.5 percent", "intrinsic noise 1 percent",
        "intrinsic noise 2 percent",
    ]  # fmt: skip
    content = json.loads((out / "robustness.json").read_text())
    assert content["suite"]["samples"] == 2 and content["suite"]["every"] == 2
    assert len(content["conditions"]) == 4 and content["conditions"][0]["azimuth"]
    assert Image.open(out / "robustness.png").size[0] > 500
    page = (out / "report.html").read_text()
    assert "one of every 2" in page and "intrinsic noise 2 percent" in page
    _, error = call("robustness.py", *arguments, "--seed", "1", code=1)
    assert error.count("\n") == 1 and "seed was 0, now 1" in error
    _, error = call("robustness.py", *arguments, "--split", "synthetic_train", code=1)
    assert "another suite" in error and "split was 'synthetic_val'" in error
    assert before == {path: path.read_bytes() for path in before}
    with patch("bev.lab.robustness.suite.evaluated", counted):
        call("robustness.py", *[word.replace("intrinsics", "late") for word in arguments])
    with (out / "robustness.csv").open() as file:
        groups = {row["group"] for row in csv.DictReader(file)}
    assert groups == {"", "intrinsics", "late"}  # what is done of other groups stays in the table
    path = next(iter(before))
    path.write_text("{}")
    _, error = call("robustness.py", *arguments, code=1)
    assert str(path) in error and "delete it, and run again" in error


@pytest.mark.slow
def test_a_dropped_camera_is_missed_most_where_it_looks(synthetic_world):
    """By the average precision in sectors of 60 degrees, with the model of the package."""
    config, model = load_checkpoint(Path("synthetic"))
    data = replace(config.data, root=synthetic_world, workers=0)
    frame = data.source.open(data).frames("synthetic_train")[0]
    planned = conditions(("dropped",), data.camera_names, 0)
    clean, *others = (evaluated(one, model, data, "synthetic_train", 1).azimuth for one in planned)
    sectors = list(clean)
    own, elsewhere = [], []
    for camera, after in zip(frame.cameras, others, strict=True):
        axis = camera.ego_from_camera[:2, 2]
        angle = math.degrees(math.atan2(axis[1], axis[0]))
        place = math.floor((angle + 30) / 60) % 6
        lost = np.array([(clean[s] or 0.0) - (after[s] or 0.0) for s in sectors])
        own.append(lost[place])
        elsewhere.append(np.delete(lost, place))
    assert np.mean(own) > 0.1 and np.mean(own) > 4 * np.abs(np.mean(elsewhere))

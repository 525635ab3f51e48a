"""Run folders claimed by two runs, and results files with missing ground truth or invalid rows."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from commands import attempt
from own_data import VERSION
from own_runs import CONFIG, checkpoint_of, sentence, train

BOTTOM = ["--data.image-augmentation.horizon", "0", "--data.image-size", "64", "176"]
SEGMENTATION = ["--model.segmentation.layers", "vehicle", "--data.polygons.layers", "vehicle"]


@pytest.fixture
def unannotated(own_root, tmp_path) -> Path:
    """The data set as nuScenes' test split: its tables have no annotations."""
    root, version = shutil.copytree(own_root, tmp_path / "test"), "v1.0-test"
    folder = (root / VERSION).rename(root / version)
    (folder / "splits.json").unlink()
    for table in ("sample_annotation", "instance"):
        (folder / f"{table}.json").write_text("[]")
    scenes = json.loads((folder / "scene.json").read_text())
    names = ("scene-0077", "scene-0078")
    named = [{**scene, "name": name} for scene, name in zip(scenes, names, strict=True)]
    (folder / "scene.json").write_text(json.dumps(named))
    return root


@pytest.mark.long
@pytest.mark.parametrize("model", [[], SEGMENTATION], ids=["boxes", "boxes_and_segmentation"])
def test_the_results_of_a_split_without_ground_truth_are_written(
    own_root, unannotated, tmp_path, model
):
    """BEVDet#345, BEVFormer#273, CenterFusion#30, bevfusion#233, #399 (for the test server)."""
    checkpoint = checkpoint_of(own_root, tmp_path, *model, *BOTTOM)
    out = tmp_path / "out"
    status, printed, error = attempt(
        "evaluate.py", checkpoint, "--data.root", unannotated, "--data.version", "v1.0-test",
        "--split", "test", "--out", out,
    )  # fmt: skip
    assert (out / "results_nusc.json").is_file(), error
    results = json.loads((out / "results_nusc.json").read_text())["results"]
    assert set(results) == {f"scene-{scene}-{i}" for scene in "ab" for i in range(2)}
    assert status == 0, error
    (line,) = [line for line in printed.splitlines() if str(out / "results_nusc.json") in line]
    assert line.endswith("; not scored either: segmentation." if model else "benchmark's server.")
    for camera in ("CAM_LEFT", "CAM_RIGHT"):  # 320x240 pixels
        assert f"warning: The crop of camera {camera} (320x240 to 176x64) leaves out" in error


def test_a_results_file_of_a_split_without_ground_truth_is_left_to_the_server(
    unannotated, tmp_path
):
    file = tmp_path / "results_nusc.json"
    file.write_text(json.dumps({"meta": {}, "results": {}}))
    status, printed, error = attempt(
        "evaluate.py", file, "--data.root", unannotated, "--data.version", "v1.0-test",
        "--split", "test",
    )  # fmt: skip
    (line,) = printed.splitlines()
    assert status == 0 and not error
    assert str(file) in line and line.endswith("benchmark's server.")


def test_unnamed_runs_started_in_one_second_have_separate_folders(tmp_path):
    """lightning-hydra-template#511, Lightning#12679, #11418."""
    from bev.config import load_file
    from bev.training.folder import run_folder

    config = load_file(CONFIG)
    config = replace(config, train=replace(config.train, runs=tmp_path))
    while time.time() % 1 > 0.5:
        time.sleep(0.02)
    folders = []
    for _ in range(2):
        with patch.dict(os.environ):  # as if each ran in a separate process
            folders.append(run_folder(config.train, config.name, None))
    assert folders[0] != folders[1]


def test_a_run_without_a_checkpoint_yet_keeps_its_folder(own_root, tmp_path, monkeypatch):
    """lightning-hydra-template#511, Lightning#12679, #11418: the first run has made no step yet."""
    from lightning import Trainer

    folders, second = [], []

    def fit(trainer: Trainer, *_, **__) -> None:
        folders.append(Path(trainer.log_dir))
        if len(folders) == 1:
            os.environ.pop("BEV_RUN_FOLDER", None)  # as in a separate process
            second.append(train(own_root, tmp_path))
        raise SystemExit

    monkeypatch.setattr(Trainer, "fit", fit)
    train(own_root, tmp_path)
    ((status, _, error),) = second
    assert folders[0] not in folders[1:]
    assert status == 0 or "mine" in sentence(error)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda rows: [{**rows[0], "size": [0.0, 0.0, 0.0]}, *rows[1:]], id="size_0"),
        pytest.param(lambda rows: None, id="null_for_a_list"),
    ],
)
def test_a_results_file_with_a_bad_row_is_reported_in_one_sentence(own_root, tmp_path, spoil):
    """Results files written by other tools for the devkit."""
    gt_boxes = json.loads((own_root / VERSION / "sample_annotation.json").read_text())
    results: dict[str, list[dict]] = {}
    for box in gt_boxes:
        row = {key: box[key] for key in ("sample_token", "translation", "size", "rotation")}
        found = {"velocity": [8.0, 0.0], "detection_name": "car", "detection_score": 1.0}
        row |= {**found, "attribute_name": "vehicle.moving"}
        results.setdefault(row["sample_token"], []).append(row)
    results["scene-b-0"] = spoil(results["scene-b-0"])
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"meta": {}, "results": results}))
    status, _, error = attempt(
        "evaluate.py", file, "--data.root", own_root, "--data.version", VERSION,
        "--split", "mine_val", "--out", tmp_path / "out",
    )  # fmt: skip
    assert status == 1 and str(file) in sentence(error)

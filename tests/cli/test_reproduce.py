"""``bevlab reproduce`` from published weights, and by a training, to its record."""

import json
import sys

import pytest
import torch
from commands import ROOT, SMALL, attempt, call, run

from bev.config import load_file, override
from bev.lab.convert.published import FAMILIES
from bev.lab.convert.rename import published_shapes

sys.path.append(str(ROOT / "tests" / "lab" / "convert"))
from published_tables import TABLES, random_weights  # noqa: E402


def place(world):
    return ["--data.root", str(world), "--data.version", "v1.0-synthetic"]


@pytest.mark.slow
def test_published_weights_become_a_record(synthetic_world, tmp_path, monkeypatch):
    """With a small network, whose published tensors are smaller, too."""
    flags = [*SMALL, *place(synthetic_world), "--data.batch-size", "2", "--data.workers", "0"]
    config = override(load_file("bevdet_r50_dev21"), flags, "test")
    shapes = published_shapes(FAMILIES["bevdet-dev2.1"].sources(config))
    monkeypatch.setitem(TABLES, "small", shapes)
    state = random_weights("small")
    torch.save({"state_dict": state}, tmp_path / "r50.pth")
    given = ["bevdet_r50_dev21", "--weights", tmp_path / "r50.pth", "--out", tmp_path / "out"]
    out, _ = call("reproduce.py", *given, *flags)
    assert "BEVDet-R50 dev2.1, 24 epochs" in out and "is not reproduced" in out
    record = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    weights = record["stages"]["weights"]
    assert weights["tensors_used"] == len(state) and weights["tensors_unused"] == []
    assert len(weights["sha256"]) == 64 and weights["file"] == "r50.pth"
    data = record["stages"]["data"]
    assert data["images"]["found"] == data["images"]["expected"] == 6 * data["samples"]
    assert "these are of synthetic_val" in data["findings"][0]
    assert record["stages"]["switches"]["overrides"]["model.view.channels"] == 8
    assert (tmp_path / "out" / "results_nusc.json").is_file()


def test_weights_or_a_training_are_asked_for(tmp_path):
    status, _, error = attempt("reproduce.py", "lss_r50")
    assert status == 1 and "either --weights FILE, a published checkpoint to evaluate, or" in error
    status, _, error = attempt("reproduce.py", "lss_r5", "--train")
    assert status == 1 and "lss_r50" in error


def test_a_config_without_published_weights_is_named(synthetic_world, tmp_path):
    (tmp_path / "w.pth").write_bytes(b"")
    status, _, error = attempt(
        "reproduce.py", "lss_r50", "--weights", tmp_path / "w.pth", *place(synthetic_world)
    )
    assert status == 1 and "No published weights are converted to lss_r50" in error


@pytest.mark.slow
def test_a_training_becomes_a_record_and_is_not_repeated(synthetic_world, tmp_path):
    flags = [*SMALL, *place(synthetic_world), "--train.runs", tmp_path, "--train.max-steps", "2",
             "--train.accumulate", "2", "--model.backbone.no-pretrained",
             "--data.batch-size", "2"]  # fmt: skip
    out, _ = run("reproduce.py", "lss_r50", "--train", *flags)
    path = tmp_path / "reproduce_lss_r50" / "reproduction.json"
    record = json.loads(path.read_text())
    assert record["stages"]["weights"]["run"]["steps"] == 2
    assert record["stages"]["weights"]["samples_per_step"] == 4
    assert any("train.max_steps is 2" in one for one in record["stages"]["switches"]["findings"])
    again, _ = run("reproduce.py", "lss_r50", "--train", *flags)
    assert "run folder" in out and "run folder" not in again
    assert json.loads(path.read_text()) == record


@pytest.mark.slow
def test_weights_of_the_published_shapes_run_on_real_frames(nuscenes_root, tmp_path):
    torch.save({"state_dict": random_weights("bevdet-dev2.1")}, tmp_path / "r50.pth")
    out, _ = run(
        "reproduce.py", "bevdet_r50_dev21", "--weights", tmp_path / "r50.pth", "--out",
        tmp_path / "out", "--data.root", nuscenes_root, "--data.version", "v1.0-mini",
    )  # fmt: skip
    record = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    assert record["stages"]["weights"]["tensors_used"] == 478
    assert record["stages"]["switches"]["findings"] == []
    assert record["stages"]["data"]["images"]["missing"] == []
    assert record["verdict"] in out and "see what differs in data" in record["verdict"]

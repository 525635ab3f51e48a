"""The rehearsal: when it runs, the settings it changes, what it reports, and a complete run."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_page import read_page
from shrunken import large_cells

from bev.cli.train import wants_rehearsal
from bev.config import Experiment, load_file
from bev.errors import TrainingError
from bev.lab import rehearsal
from bev.lab.first_steps import losses
from bev.models import BevEncoderConfig, FpnConfig, LiftSplatConfig
from bev.training.record import RunRecord

CONFIG = Path(__file__).parents[2] / "configs" / "lss_r50.py"


def test_the_rehearsal_runs_only_without_a_chosen_data_root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_file(CONFIG)
    assert wants_rehearsal(config, ["--train.lr", "1"])
    for chosen in (["--data.root", "data/nuscenes"], ["--data.root=x"], ["--data_root", "x"]):
        arguments = [a.replace("data_root", "data.root") for a in chosen]
        assert not wants_rehearsal(config, arguments)
    elsewhere = replace(config, data=replace(config.data, root=Path("elsewhere")))
    assert not wants_rehearsal(elsewhere, [])
    (tmp_path / "data" / "nuscenes").mkdir(parents=True)
    assert not wants_rehearsal(config, [])


def test_the_rehearsal_runs_to_its_end(
    synthetic_world, synthetic_config, tmp_path, monkeypatch, capsys
):
    """A narrow model and the tests' small world shorten the run to seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rehearsal, "WORLD", synthetic_world)
    monkeypatch.setattr(rehearsal, "PRESETS", {"tiny": synthetic_config})
    monkeypatch.setattr(rehearsal, "MINUTES", 0.04)
    monkeypatch.setattr(rehearsal, "PICTURES", 1)
    config = load_file(CONFIG)
    model = replace(
        config.model,
        backbone=replace(config.model.backbone, name="resnet10t"),
        neck=FpnConfig(16),
        view=LiftSplatConfig(channels=8),
        encoder=BevEncoderConfig((16, 16, 16), 1, 16, 16),
    )
    changes = rehearsal.rehearsed

    def smaller(before: Experiment) -> Experiment:
        after = changes(before)
        return replace(
            after,
            model=replace(after.model, grid=large_cells(after.model.grid)),
            data=replace(after.data, image_size=(64, 176)),
        )

    monkeypatch.setattr(rehearsal, "rehearsed", smaller)
    folder = rehearsal.rehearse(replace(config, model=model), "lss_r50")
    out = capsys.readouterr().out
    assert "This is NOT nuScenes" in out and "model.backbone.pretrained: True -> False" in out
    # The shipped model is scored and drawn, and its figures are those of its results.
    shown = Path("runs/rehearsal/synthetic")
    summary = json.loads((shown / "evaluation/synthetic_val/metrics_summary.json").read_text())
    assert f"mAP {summary['mean_ap']:.3f}, NDS {summary['nd_score']:.3f}" in out
    assert summary["label_aps"]["car"]["2.0"] > 0.3
    assert str(shown / "pictures" / "1.png") in out and (shown / "pictures" / "1.png").is_file()
    # The network that was trained has losses, a speed and a checkpoint, and no scores.
    assert folder.parts[:2] == ("runs", "rehearsal")
    assert (folder / "checkpoints" / "last.ckpt").exists()
    assert not (folder / "evaluation").exists() and out.count("mAP") == 1
    record = RunRecord.read(folder)
    assert f"has trained {record.steps} steps" in out and losses(folder) in out
    assert record.steps > 0 and record.training_minutes >= 0.03
    assert f"Speed: {record.steps / record.training_minutes / 60:.2g} samples a second" in out
    assert str(folder / "report.html") in out
    page = read_page(folder / "report.html")
    assert page.summary["pictures_first"] and page.summary["headline"] == []
    ((caption, source),) = page.pictures["others"]
    assert "'synthetic', a trained network" in caption and source.startswith("data:image/jpeg")


def test_the_rehearsal_refuses_torchrun(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(TrainingError, match="without torchrun"):
        rehearsal.rehearse(load_file(CONFIG), "lss_r50")

"""The rehearsal: conditions of its start, settings it changes, and a complete run."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from shrunken import large_cells

from bev.cli.train import wants_rehearsal
from bev.config import load_file
from bev.errors import TrainingError
from bev.lab import rehearsal
from bev.models import BevEncoderConfig, FpnConfig, LiftSplatConfig
from bev.training.run import train
from bev.visualization.report.run import report_run

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
    config = load_file(CONFIG)
    model = replace(
        config.model,
        backbone=replace(config.model.backbone, name="resnet10t"),
        neck=FpnConfig(16),
        view=LiftSplatConfig(channels=8),
        encoder=BevEncoderConfig((16, 16, 16), 1, 16, 16),
    )
    config = rehearsal.rehearse(replace(config, model=model))
    config = replace(
        config,
        model=replace(config.model, grid=large_cells(config.model.grid)),
        data=replace(config.data, image_size=(64, 176)),
        train=replace(config.train, log_every=1),  # the run has few steps
    )
    notice = capsys.readouterr().out
    assert "This is NOT nuScenes" in notice
    assert "model.backbone.pretrained: True -> False" in notice
    folder, metrics = train(config, finish=[partial(report_run, notice=rehearsal.LABEL)])
    assert metrics is not None and folder.parts[:2] == ("runs", "rehearsal")
    assert "synthetic world, not nuScenes" in (folder / "report.html").read_text()
    assert len(list((folder / "pictures").glob("*.png"))) == 2
    assert "The loss went from" in rehearsal.losses(folder)
    assert (folder / "checkpoints" / "last.ckpt").exists()


def test_the_rehearsal_refuses_torchrun(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(TrainingError, match="without torchrun"):
        rehearsal.rehearse(load_file(CONFIG))

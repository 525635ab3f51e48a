"""Training runs: files, averaged weights, resuming, and errors that stop a run."""

import csv
import json
import math
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from commands import call
from lightning import Trainer
from opened import opened
from report_page import read_page
from safetensors.torch import save_file
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from bev.errors import CheckpointError, TrainingError
from bev.models import DepthSupervisionConfig, FpnConfig
from bev.training import run
from bev.training.checkpoint.loading import check_resumable, load_checkpoint, read_checkpoint
from bev.training.module import TrainingModule
from bev.training.record import asks_for_more
from bev.training.run import train
from bev.visualization.report.run import report_run


@pytest.fixture(scope="module")
def finished(quick) -> Path:
    """Folder of a run of two epochs."""
    config = replace(quick, train=replace(quick.train, run_name="finished"))
    folder, _ = train(config, finish=[report_run])
    return folder


def test_a_run_writes_all_its_files(finished):
    split = finished / "evaluation" / "synthetic_val"
    for name in ("config.yaml", "metrics.csv", "report.html", "checkpoints/last.ckpt",
                 "checkpoints/best.ckpt", "evaluation/history.jsonl"):  # fmt: skip
        assert (finished / name).stat().st_size > 0, name
    for name in ("results_nusc.json", "metrics_summary.json", "pr_curves.png"):
        assert (split / name).stat().st_size > 0, name
    assert len(list((finished / "pictures").glob("*.png"))) == 1
    assert list(finished.glob("events.out.tfevents*"))
    assert len((finished / "evaluation" / "history.jsonl").read_text().splitlines()) == 2


def test_event_files_hold_the_table_the_curves_and_the_settings(finished):
    """tensorboard/test_events.py reads everything that they may hold."""
    events = EventAccumulator(str(finished), {"tensors": 0}).Reload()
    with (finished / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "lr-AdamW", "val/NDS", "gradient_norm/total"):
        table = [(int(row["step"]) + 1, float(row[name])) for row in rows if row[name]]
        found = [(e.step, e.tensor_proto.float_val[0]) for e in events.Tensors(name)]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in table], name
    curve = events.Tensors("car/within 2.0 m")
    assert [event.step for event in curve] == [4, 8]
    about = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = parse_session_start_info_plugin_data(about).hparams
    assert settings["train.lr"].number_value == 3e-3 and "train.runs" not in settings


def test_depth_is_measured_on_held_out_frames(finished):
    """The history, the log and the report contain the same figures."""
    lines = (finished / "evaluation" / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    with (finished / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val/depth_rmse"]]
    page = read_page(finished / "report.html")
    assert len(history) == len(rows) == 2
    for entry, row in zip(history, rows, strict=True):
        assert 0 < entry["depth_abs_rel"] < 10 and 0 < entry["depth_rmse"] < 56
        for name in ("depth_abs_rel", "depth_rmse"):
            assert float(row[f"val/{name}"]) == pytest.approx(entry[name], rel=1e-5)
    assert page.figures["depth_rmse"] == pytest.approx(history[-1]["depth_rmse"])


@pytest.mark.long
def test_depth_is_not_measured_without_lidar(quick):
    model = replace(quick.model, depth_supervision=DepthSupervisionConfig(0.0))
    blind = replace(quick, model=model, data=replace(quick.data, lidar=False))
    folder, _ = train(replace(blind, train=replace(quick.train, run_name="blind", epochs=1)))
    assert "depth" not in (folder / "evaluation" / "history.jsonl").read_text()
    assert "depth" not in (folder / "metrics.csv").read_text()


def test_a_checkpoint_is_enough_to_detect(finished):
    config, model = load_checkpoint(finished / "checkpoints" / "best.ckpt")
    assert config.name == "quick" and not model.training
    from bev.data.dataset import KeyFrames

    frame = opened(config.data).frames("synthetic_val")[:1]
    boxes = model.detect(KeyFrames(frame, config.data, training=False)[0])
    assert len(boxes) == 1


def test_state_dict_contains_the_averaged_weights(finished):
    content = read_checkpoint(finished / "checkpoints" / "last.ckpt")
    averaged, current = content["state_dict"], content["current_model_state"]
    name = "model.head.shared.0.weight"
    assert not torch.equal(averaged[name], current[name])
    assert averaged[name].isfinite().all()


def test_validation_uses_the_averaged_weights(quick, monkeypatch, capsys):
    """The network's weights during validation equal those of the best checkpoint.

    The run is far shorter than the start of the decay, which is bounded.
    """
    seen = []
    detect = TrainingModule.validation_step

    def watch(self, batch, index):
        seen.append(self.model.head.shared[0].weight.detach().cpu().clone())
        return detect(self, batch, index)

    monkeypatch.setattr(TrainingModule, "validation_step", watch)
    config = replace(quick.train, run_name="watched", epochs=1, ema=0.9999, ema_start=10_560)
    folder, _ = train(replace(quick, train=config))
    content = read_checkpoint(folder / "checkpoints" / "best.ckpt")
    name = "model.head.shared.0.weight"
    assert torch.equal(seen[-1], content["state_dict"][name])
    assert not torch.equal(seen[-1], content["current_model_state"][name])
    sentence = "train.ema_start 16 instead of 10560, because the run has only 4 steps."
    assert capsys.readouterr().out.count(sentence) == 1


def test_the_best_checkpoint_survives_a_resumed_run(quick, finished, tmp_path):
    """The best score is read from a file: a worse score after resuming replaces nothing."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    best = folder / "checkpoints" / "best.ckpt"
    (folder / "checkpoints" / "best.json").write_text('{"NDS": 0.9}')
    before = best.read_bytes()
    longer = replace(quick, train=replace(quick.train, epochs=3))
    train(longer, resume=folder / "checkpoints" / "last.ckpt")
    assert best.read_bytes() == before
    assert (folder / "config_before_resume_1.yaml").exists()


@pytest.mark.slow
def test_a_resumed_run_equals_an_unbroken_one(quick, finished):
    """Weights, averaged weights and step are equal bit for bit after a stop at an epoch's end.

    checkpoint/test_resume.py stops a run with one camera anywhere.
    """
    first = replace(quick.train, run_name="broken", max_steps=4)
    folder, _ = train(replace(quick, train=first))
    last = folder / "checkpoints" / "last.ckpt"
    assert read_checkpoint(last)["epoch"] == 0
    train(replace(quick, train=replace(first, max_steps=-1)), resume=last)
    whole, resumed = (read_checkpoint(f / "checkpoints" / "last.ckpt") for f in (finished, folder))
    assert whole["global_step"] == resumed["global_step"] == 8
    for kind in ("state_dict", "current_model_state"):
        for name, value in whole[kind].items():
            assert torch.equal(value, resumed[kind][name]), (kind, name)
    # Records of the first part are kept.
    assert (folder / "metrics_before_resume_1.csv").exists()
    assert len((folder / "evaluation" / "history.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, False),
        ({"epochs": 3}, True),
        ({"epochs": 3, "max_steps": 8}, False),
        ({"max_steps": 20}, False),  # the epochs end the run before
        ({"epochs": 1}, False),
        ({"epochs": 3, "max_minutes": 1e-4}, False),
        ({"epochs": 3, "max_minutes": 60.0}, True),
    ],
)
def test_a_finished_run_goes_on_only_if_more_is_asked_for(quick, finished, settings, more):
    assert asks_for_more(finished, replace(quick.train, **settings)) == more


@pytest.mark.slow
@pytest.mark.parametrize("part", ["save_config", "print_data", "fit"])
def test_auto_continues_a_finished_run_and_keeps_its_records_if_that_fails(
    finished, monkeypatch, part
):
    command = ["train.py", finished / "config.yaml", "--resume", "auto", "--train.runs"]
    command.append(finished.parents[1])
    files = {p: p.read_bytes() for p in finished.iterdir() if p.is_file()}
    assert call(*command)[0] == f"the run in {finished} is finished\n"
    reached = []

    def fail(*_, ckpt_path=None, **__):
        reached.append(ckpt_path)
        raise TrainingError("as a schedule of another length, or a full disk")

    monkeypatch.setattr(Trainer if part == "fit" else run, part, fail)
    call(*command, "--train.epochs", "3", code=1)
    assert reached == [finished / "checkpoints" / "last.ckpt" if part == "fit" else None]
    assert {p: p.read_bytes() for p in files} == files
    assert not list(finished.glob("*_before_resume_*"))


def test_another_architecture_cannot_resume(quick, finished):
    last = finished / "checkpoints" / "last.ckpt"
    check_resumable(last, quick)
    with pytest.raises(CheckpointError, match="--train.ema 0"):
        check_resumable(last, replace(quick, train=replace(quick.train, ema=0.0)))
    other = replace(quick.model, neck=FpnConfig(24))
    with pytest.raises(CheckpointError, match=r"model.neck.channels was 16, now 24"):
        check_resumable(last, replace(quick, model=other))


def test_invalid_checkpoints_are_named(tmp_path, finished):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(tmp_path / "none.ckpt")
    (tmp_path / "text.ckpt").write_text("no")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(tmp_path / "text.ckpt")
    torch.save({"state_dict": {}}, tmp_path / "foreign.ckpt")
    with pytest.raises(CheckpointError, match="no config"):
        load_checkpoint(tmp_path / "foreign.ckpt")
    content = read_checkpoint(finished / "checkpoints" / "last.ckpt")
    content["state_dict"].pop("model.head.shared.0.weight")
    torch.save(content, tmp_path / "lacking.ckpt")
    with pytest.raises(CheckpointError, match=r"1 tensors are missing.*head.shared.0.weight"):
        load_checkpoint(tmp_path / "lacking.ckpt")


def test_a_loss_that_is_not_finite_stops_and_names_the_samples(quick, monkeypatch):
    calls = []

    def loss(self, batch):
        calls.append(batch.tokens)
        value = sum(p.sum() for p in self.parameters()) * 0
        return {"heatmap": value + (math.nan if len(calls) == 6 else 1.0)}

    monkeypatch.setattr("bev.models.detector.Detector.loss", loss)
    config = replace(quick, train=replace(quick.train, run_name="nan", save_minutes=0.0))
    with pytest.raises(TrainingError) as error:
        train(config)
    assert all(token in str(error.value) for token in calls[5])
    # The checkpoint of the step before is complete.
    content = read_checkpoint(quick.train.runs / "quick" / "nan" / "checkpoints" / "last.ckpt")
    assert content["global_step"] == 5


@pytest.mark.long
@pytest.mark.parametrize("fused", [True, False])
def test_gradients_are_clipped_in_mixed_precision(quick, fused, tmp_path):
    """SGD at rate 1 with gradients clipped to a norm of 0.01 moves at most 0.02 in two steps."""
    options = replace(
        quick.train, optimizer=partial(torch.optim.SGD, fused=fused), lr=1.0,
        weight_decay=0.0, max_grad_norm=0.01, warmup_steps=0, ema=0.0, max_steps=2,
        precision="bf16", validate_every=0, runs=tmp_path, seed=5,
    )  # fmt: skip
    before = quick.model.build()
    init = replace(options.init, weights=tmp_path / "start.safetensors")
    save_file({n: t.contiguous() for n, t in before.state_dict().items()}, init.weights)
    folder, _ = train(replace(quick, train=replace(options, init=init)))
    _, after = load_checkpoint(folder / "checkpoints" / "last.ckpt")
    there = dict(after.named_parameters())
    moved = sum((there[n] - p).square().sum() for n, p in before.named_parameters()).sqrt()
    assert 0.005 < moved.item() < 0.0201


def test_the_module_trains_only_unfrozen_parameters(quick):
    backbone = replace(quick.model.backbone, frozen_stages=1)
    module = TrainingModule(replace(quick.model, backbone=backbone).build(), quick.train, 2)
    frozen = {n for n, p in module.named_parameters() if not p.requires_grad}
    assert frozen and all(name.startswith("model.backbone.body.") for name in frozen)

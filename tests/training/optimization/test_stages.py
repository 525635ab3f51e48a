"""Training stages: frozen parts, rates worked out by hand, and stopping in any stage."""

import copy
import math
import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from bev.config import Experiment, load_file, override
from bev.errors import CheckpointError, ConfigError, TrainingError
from bev.serialization import from_plain, to_plain
from bev.training.checkpoint.loading import check_resumable, read_checkpoint
from bev.training.checkpoint.signals import Stopped
from bev.training.initialization import starting_model
from bev.training.module import TrainingModule
from bev.training.optimization.optimizer import build_optimizer
from bev.training.optimization.schedule import build_schedule
from bev.training.optimization.stages import Stages, stage_at
from bev.training.run import train
from bev.training.settings import InitConfig, StageConfig, TrainConfig
from bev.training.settings_check import check_settings

CONFIGS = Path(__file__).parents[3] / "configs"
HEAD_FIRST = (StageConfig(only=("head",)), StageConfig(0.375, rates=(("backbone", 0.1),)))


class Network(torch.nn.Module):
    """Three parts, each with a weight matrix, a norm and a dropout."""

    def __init__(self):
        super().__init__()
        for name in ("body", "neck", "head"):
            part = [torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)]
            setattr(self, name, torch.nn.Sequential(*part))

    def forward(self, x):
        return self.head(self.neck(self.body(x)))


def trained_parts(stages, stage):
    stages.enter(stage)
    return {name for name, p in stages.model.named_parameters() if p.requires_grad}


def test_rates_worked_out_by_hand():
    """Warm-up of 2 steps, cosine over 10; neck from step 4 on, body from 6 on at a tenth."""
    model = Network()
    stages = Stages(model, (
        StageConfig(only=("head",), rates=(("head.1", 2.0),)),
        StageConfig(0.4, frozen=("body",)),
        StageConfig(6, rates=(("*", 0.5), ("body", 0.1), ("body.1.bias", 3.0))),
    ))  # fmt: skip
    config = TrainConfig(
        optimizer=torch.optim.SGD, lr=0.5, lr_batch=4, weight_decay=0.0, warmup_steps=2,
        schedule=CosineAnnealingLR,
    )  # fmt: skip
    optimizer = build_optimizer(stages, config, 8)
    schedule = build_schedule(optimizer, stages, config, 8, 10)
    by_step = {
        "body.0.weight": [0] * 6 + [0.1] * 4,
        "body.1.bias": [0] * 6 + [3] * 4,
        "neck.0.weight": [0] * 4 + [1] * 2 + [0.5] * 4,
        "head.0.weight": [1] * 6 + [0.5] * 4,
        "head.1.weight": [2] * 4 + [1] * 2 + [0.5] * 4,
    }
    owner = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    named = dict(model.named_parameters())
    assert len(owner) == len(named) and len(optimizer.param_groups) == len(by_step)
    assert owner[id(named["body.0.weight"])]["name"] == "0-0-0.1"
    for step in range(10):
        warm = max(min(step / 2, 1), 1e-3)
        rate = 2 * 0.5 * warm * 0.5 * (1 + math.cos(math.pi * step / 10))
        for name, factors in by_step.items():
            found = owner[id(named[name])]["lr"]
            assert found == pytest.approx(rate * factors[step], rel=1e-6, abs=1e-12), (name, step)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_frozen_parts_stay_bit_for_bit(optimizer):
    """Weight decay, states of an earlier stage and norm statistics do not change a frozen part.

    Its gradients are not in the gradient norm, and the other parts change.
    """
    torch.manual_seed(0)
    model = Network()
    stages = Stages(model, (StageConfig(), StageConfig(2, frozen=("body", "neck.0.weight"))))
    config = TrainConfig(optimizer=optimizer, lr=0.1, lr_batch=0, weight_decay=0.1)
    engine = build_optimizer(stages, config, 1)
    state, moved = {}, {}
    for step in range(5):
        if step in (0, 2):
            stages.enter(step // 2)
            state = copy.deepcopy(model.state_dict())
        model(torch.randn(8, 3)).square().sum().backward()
        held = [p.grad.norm() for p in model.parameters() if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        assert norm == pytest.approx(torch.stack(held).norm().item())
        assert len(held) == (12 if step < 2 else 12 - 4 - 1)
        engine.step()
        engine.zero_grad()
        moved = {n for n, v in model.state_dict().items() if not torch.equal(v, state[n])}
    kept = set(state) - moved
    assert kept == {n for n in state if n.startswith("body.")} | {"neck.0.weight"}


def test_frozen_norms_and_dropouts_are_in_evaluation_mode():
    """The weights of norms in ``fixed_norms`` train."""
    model = Network()
    model.head[0].requires_grad_(False)  # frozen by the model itself in all stages
    stages = Stages(model, (
        StageConfig(frozen=("body",), fixed_norms=("neck",)), StageConfig(1, only=("head",)),
    ))  # fmt: skip
    resting = {"body", "body.0", "body.1", "body.2", "neck.1", "head.0"}
    stages.enter(0)
    model.train()
    stages.settle(0)
    assert {name for name, m in model.named_modules() if not m.training} == resting
    assert "neck.1.weight" in trained_parts(stages, 0)
    assert trained_parts(stages, 1) == {"head.1.weight", "head.1.bias"}
    assert not model.neck.training and model.head[1].training and model.head[2].training


def test_the_stage_of_a_step():
    stages = Stages(Network(), [StageConfig(start) for start in (0, 0.25, 0.25, 50)])
    assert stages.starts(100) == [0, 25, 25, 50]
    starts = stages.starts(100)
    assert [stage_at(starts, step) for step in (0, 24, 25, 49, 50, 99)] == [0, 0, 2, 2, 3, 3]
    with pytest.raises(ConfigError, match="0, 100, 100, 50 of 400; give them in order"):
        stages.starts(400)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"frozen": ("bdy",)}, r"stage 1: The model has no part 'bdy', but body"),
        ({"only": ("head.7",)}, r"no part 'head.7', but head.*it has: body, neck, head"),
        ({"rates": (("neck.0.wieght", 0.1),)}, r"no part 'neck.0.wieght', but neck.0.weight"),
        ({"fixed_norms": ("neck.0",)}, r"no part with batch norms 'neck.0', but neck.1"),
        ({"frozen": ("*",)}, r"stage 1: nothing is left to train"),
    ],
)
def test_an_unknown_part_is_refused(stage, message):
    with pytest.raises(ConfigError, match=message):
        Stages(Network(), (StageConfig(), StageConfig(3, **stage)))


def test_invalid_stage_settings_are_refused():
    for start in (1.5, math.nan, math.inf):
        with pytest.raises(ConfigError, match="a fraction of the run below 1"):
            StageConfig(start)
    for wrong in ({"start": -1.0}, {"rates": (("head", 0.0),)}, {"rates": (("head", math.inf),)}):
        stages = (StageConfig(), StageConfig(**wrong))
        with pytest.raises(ConfigError, match=rf"train\.stages.*{next(iter(wrong))}"):
            check_settings(Experiment(train=TrainConfig(stages=stages)))
    for stages in ((), (StageConfig(0.5),)):
        with pytest.raises(ConfigError, match="a stage that starts at 0"):
            TrainConfig(stages=stages)
    config = Experiment(
        train=TrainConfig(stages=HEAD_FIRST, ema=0.0, max_grad_norm=0.0, strategy="fsdp")
    )
    with pytest.raises(TrainingError, match="Stages of training .*'fsdp'"):
        check_settings(config)
    with pytest.raises(TrainingError, match="a stage that starts at a fraction"):
        check_settings(Experiment(train=TrainConfig(stages=HEAD_FIRST, max_minutes=3.0)))


def test_stages_are_saved_and_set_from_the_command_line():
    config = load_file(CONFIGS / "finetune_synthetic.py")
    first, second = config.train.stages
    assert from_plain(Experiment, to_plain(config)) == config
    flags = ["--train.stages.1.start", "300", "--train.stages.1.rates", "*", "2", "backbone", "0.2"]
    changed = override(config, flags, "x").train.stages
    assert changed == (first, replace(second, start=300.0, rates=(("*", 2.0), ("backbone", 0.2))))
    plain = load_file(CONFIGS / "lss_r50.py")
    flags = ["--train.stages.0.frozen", "backbone", "--train.stages.0.fixed-norms", "backbone"]
    expected = (StageConfig(frozen=("backbone",), fixed_norms=("backbone",)),)
    assert override(plain, flags, "x").train.stages == expected


@pytest.fixture(scope="module")
def small(quick):
    """Two epochs of four steps with one camera; the second stage starts within the first epoch."""
    settings = replace(quick.train, pictures=0, stages=HEAD_FIRST, ema=0.9)
    return replace(quick, data=replace(quick.data, cameras=("CAM_FRONT",)), train=settings)


@pytest.fixture(scope="module")
def whole(small) -> Path:
    """Folder of an unbroken run."""
    return train(named(small, "whole"))[0]


@pytest.fixture
def breaks(monkeypatch):
    """Steps before which the process gets a signal, counted over all parts of a run."""
    asked, seen, step = set(), [], TrainingModule.training_step

    def training_step(self, batch, index):
        seen.append(batch.tokens)
        if len(seen) in asked:
            for process in [*multiprocessing.active_children(), multiprocessing.current_process()]:
                os.kill(process.pid, signal.SIGTERM)
        return step(self, batch, index)

    monkeypatch.setattr(TrainingModule, "training_step", training_step)
    return asked


def named(config, name, **fields):
    return replace(config, train=replace(config.train, run_name=name, **fields))


@pytest.mark.slow
def test_a_run_stopped_in_any_stage_equals_an_unbroken_run(small, whole, breaks, capsys):
    """Stop in the first stage, between stages and in the second stage.

    In the first stage only the head changes: the weights, averages and statistics of all other
    parts stay.
    """
    assert "lr-AdamW/0-0.1" in (whole / "metrics.csv").read_text().splitlines()[0]
    unbroken = read_checkpoint(whole / "checkpoints" / "last.ckpt")
    config = named(small, "broken")
    last = small.train.runs / small.name / "broken" / "checkpoints" / "last.ckpt"
    places = (2, 3, 6)
    breaks.update(places)
    for place in places:
        with pytest.raises(Stopped):
            train(config, resume=last if last.exists() else None)
        content = read_checkpoint(last)
        assert content["global_step"] == place
        if place == 2:
            at_two = content
        if place == 3:
            for name, value in content["current_model_state"].items():
                kept = torch.equal(value, at_two["current_model_state"][name])
                assert kept or name.startswith("model.head."), name
                same = torch.equal(content["state_dict"][name], value)
                assert same or name.startswith("model.head."), name
    with pytest.raises(CheckpointError, match="other settings than.*train.stages was"):
        check_resumable(last, replace(config, train=replace(config.train, stages=HEAD_FIRST[:1])))
    train(config, resume=last)
    out = capsys.readouterr().out
    assert out.count("stage 0: of the parameters") == 2  # at the start, and resumed from step 2
    assert out.count("stage 1: of the parameters") == 2  # resumed from its first step, and from 6
    broken = read_checkpoint(last)
    assert unbroken["global_step"] == broken["global_step"] == 8
    for kind in ("state_dict", "current_model_state"):
        for name, value in unbroken[kind].items():
            assert torch.equal(value, broken[kind][name]), (kind, name)
        moved = [n for n, v in at_two[kind].items() if not torch.equal(v, unbroken[kind][n])]
        assert {n.split(".")[1] for n in moved} >= {"backbone", "neck", "view", "encoder", "head"}


@pytest.mark.slow
def test_a_head_of_other_classes_trains_on_loaded_weights(small, whole):
    """Rows of known classes are loaded; the head trains, and all other parts stay as loaded."""
    weights = whole / "checkpoints" / "last.ckpt"
    there = read_checkpoint(weights)["state_dict"]
    groups = (("pedestrian", "bus"), ("car",))
    head = replace(small.model.head, tasks=groups)
    other = replace(small, model=replace(small.model, head=head))
    other = named(other, "other", init=InitConfig(weights), stages=HEAD_FIRST[:1], max_steps=2)
    model, _ = starting_model(other.model, other.train.init, other.data.image_size)
    classes = small.model.head.resolved_tasks(small.model.labels)[0]
    row = model.head.tasks[0]["heatmap"][-1].weight[0]
    old = there["model.head.tasks.0.heatmap.0.weight"][classes.index("pedestrian")]
    assert torch.equal(row, old)
    folder, _ = train(other)
    after = read_checkpoint(folder / "checkpoints" / "last.ckpt")["current_model_state"]
    for name, value in after.items():
        if not name.startswith("model.head."):
            assert torch.equal(value, there[name]), name
    trained = after["model.head.tasks.0.heatmap.0.weight"][0]
    assert not torch.equal(trained, old) and torch.allclose(trained, old, atol=0.1)


def test_a_stage_may_leave_the_adjacent_frames_out():
    """``bevdet4d_depth_r50`` has no earlier frame in its first three of twenty epochs."""
    config = load_file(CONFIGS / "bevdet4d_depth_r50.py")
    with torch.device("meta"):
        backbone = config.model.backbone.without_weights()
        model = replace(config.model, backbone=backbone).build()
    stages = Stages(model, config.train.stages)
    starts = stages.starts(20 * 7)
    assert starts == [0, 3 * 7]
    for step, left_out in ((0, True), (20, True), (21, False), (139, False), (0, True)):
        stages.enter(stage_at(starts, step))
        assert model.temporal.left_out == left_out

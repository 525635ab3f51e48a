"""Optimisers and schedules of torch: rates, warm-up, scaling by batch size, and saved states."""

import io
import math
import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from bev.errors import CheckpointError, ConfigError
from bev.training.optimization.optimizer import build_optimizer
from bev.training.optimization.schedule import build_schedule, follows_run
from bev.training.optimization.stages import Stages
from bev.training.settings import OptimizerCall, StageConfig, TrainConfig

TOTAL = 20
FLAT = TrainConfig(optimizer=torch.optim.SGD, lr=0.5, lr_batch=8, weight_decay=0.0, warmup_steps=0)
SCHEDULES = [
    TrainConfig.schedule,
    CosineAnnealingLR,
    partial(CosineAnnealingLR, eta_min=0.1),
    OneCycleLR,
    partial(OneCycleLR, max_lr=0.3, pct_start=0.5),
    partial(CyclicLR, base_lr=0.1, step_size_up=0.2),
    partial(MultiStepLR, milestones=[0.5, 0.9]),
    partial(MultiStepLR, milestones=[5, 9], gamma=0.2),
    partial(PolynomialLR, total_iters=1.0),
    partial(StepLR, step_size=0.25),
    partial(SequentialLR, schedulers=[partial(LinearLR, total_iters=0.25), CosineAnnealingLR],
            milestones=[0.25]),
    partial(ChainedScheduler, [partial(ExponentialLR, gamma=0.9), LinearLR]),
]  # fmt: skip
each = pytest.mark.parametrize("schedule", SCHEDULES, ids=str)


def start(config, batch=8, total=TOTAL):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    stages = Stages(layers, config.stages)
    optimizer = build_optimizer(stages, config, batch)
    return layers, optimizer, build_schedule(optimizer, stages, config, batch, total)


def go(layers, optimizer, schedule, steps):
    """Make steps; returns (rate, momentum) of the parameter groups in every step."""
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns if steps are in the wrong order
        warnings.filterwarnings("ignore", "The epoch parameter")  # SequentialLR's own, torch 2.7
        for _ in range(steps):
            seen.append([(g["lr"], g.get("momentum")) for g in optimizer.param_groups])
            layers(torch.ones(1, 2)).square().mean().mul(0.01).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return seen


def rates(config, batch=8, steps=TOTAL):
    return [[rate for rate, _ in groups] for groups in go(*start(config, batch), steps)]


def test_rates_worked_out_by_hand():
    def at(schedule, **fields):
        config = replace(FLAT, schedule=schedule, lr=1.0, **fields)
        return [step[0] for step in rates(config)]

    assert at(TrainConfig.schedule) == [1.0] * TOTAL
    assert at(TrainConfig.schedule, warmup_steps=4)[:6] == [1e-3, 0.25, 0.5, 0.75, 1.0, 1.0]
    cosine = [0.5 * (1 + math.cos(math.pi * step / TOTAL)) for step in range(TOTAL)]
    assert at(CosineAnnealingLR) == pytest.approx(cosine)
    assert at(CosineAnnealingLR, warmup_steps=4)[2] == pytest.approx(0.5 * cosine[2])
    steps = at(partial(MultiStepLR, milestones=(0.85, 0.95)))
    assert steps == pytest.approx([1.0] * 17 + [0.1] * 2 + [0.01])
    assert at(partial(MultiStepLR, milestones=(17, 19))) == steps
    one = at(partial(OneCycleLR, pct_start=0.5))
    # Torch's peak is at step pct_start * total - 1; the rate starts at 1/25 of the peak.
    assert one.index(max(one)) == 9 and one[9] == 1.0 and one[0] == pytest.approx(1 / 25)
    assert one[-1] == pytest.approx(1 / 25 / 1e4)


@each
def test_the_warm_up_multiplies_the_rate_of_any_schedule(schedule):
    """This includes schedules that compute each rate from the previous one."""
    config = replace(FLAT, schedule=schedule)
    plain = rates(config)
    warm = rates(replace(config, warmup_steps=6))
    factor = [max(min(step / 6, 1.0), 1e-3) for step in range(TOTAL)]
    expected = [[f * rate for rate in groups] for f, groups in zip(factor, plain, strict=True)]
    assert torch.allclose(torch.tensor(warm), torch.tensor(expected), rtol=1e-12)


@each
def test_the_batch_size_scales_all_rates_alike(schedule):
    config = replace(FLAT, schedule=schedule, warmup_steps=3)
    once, twice = torch.tensor(rates(config, 8)), torch.tensor(rates(config, 16))
    assert torch.allclose(2 * once, twice, rtol=1e-9)
    as_given = torch.tensor(rates(replace(config, lr_batch=0), 16))
    assert torch.allclose(once, as_given, rtol=1e-9)


@each
def test_a_part_keeps_its_share_of_the_rate_in_every_stage(schedule):
    """One part has 1/10 of the schedule's rate at first, and 1/2 after 2/5 of the run."""
    config = replace(FLAT, schedule=schedule, warmup_steps=3)
    stages = (StageConfig(rates=(("1", 0.1),)), StageConfig(0.4, rates=(("1", 0.5),)))
    both = torch.tensor(rates(replace(config, stages=stages)))
    plain = torch.tensor(rates(config))[:, 0]
    share = torch.tensor([0.1] * 8 + [0.5] * 12)
    assert torch.equal(both[:, 0], plain)
    assert torch.allclose(both[:, 1], plain * share, rtol=1e-6)


@each
def test_a_saved_state_resumes_bit_for_bit(schedule):
    config = replace(FLAT, schedule=schedule, warmup_steps=5,
                     optimizer=partial(torch.optim.SGD, momentum=0.9))  # fmt: skip
    layers, *rest = start(config)
    whole = go(layers, *rest, TOTAL)
    for stop in (3, 11):
        parts = start(config)
        seen = go(*parts, stop)
        buffer = io.BytesIO()
        torch.save([part.state_dict() for part in parts], buffer)
        buffer.seek(0)
        again = start(config)
        for part, state in zip(again, torch.load(buffer, weights_only=True), strict=True):
            part.load_state_dict(state)
        assert seen + go(*again, TOTAL - stop) == whole
        for ours, theirs in zip(again[0].parameters(), layers.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_schedule_of_another_length_cannot_resume():
    config = replace(FLAT, schedule=OneCycleLR)
    state = start(config)[2].state_dict()
    with pytest.raises(CheckpointError, match="OneCycleLR.* was made for a run of 20 steps.* 30"):
        start(config, total=30)[2].load_state_dict(state)
    staged = replace(FLAT, stages=(StageConfig(), StageConfig(0.5, frozen=("0",))))
    state = start(staged)[2].state_dict()
    with pytest.raises(CheckpointError, match="a fraction of the run, was made for a run of 20"):
        start(staged, total=30)[2].load_state_dict(state)
    state = start(FLAT)[2].state_dict()  # a constant rate can resume
    start(FLAT, total=30)[2].load_state_dict(state)


@pytest.mark.parametrize(
    ("schedule", "follows"),
    [(TrainConfig.schedule, False), (CosineAnnealingLR, True), (OneCycleLR, True),
     (partial(CosineAnnealingLR, T_max=7), False), (partial(StepLR, step_size=3), False),
     (partial(StepLR, step_size=0.3), True),
     (partial(SequentialLR, schedulers=[LinearLR, CosineAnnealingLR], milestones=[4]), True)],
)  # fmt: skip
def test_follows_run_detects_schedules_that_depend_on_the_length(schedule, follows):
    config = replace(FLAT, schedule=schedule)
    assert follows_run(config) is follows
    for start in (4.0, 0.4):
        staged = replace(config, stages=(StageConfig(), StageConfig(start)))
        assert follows_run(staged) is (follows or start < 1)


def test_every_optimiser_of_torch_takes_the_rate():
    """Every optimiser gets the run's rate, and the weight decay if it has one."""
    parameters = torch.nn.Linear(2, 2, bias=False)  # Muon accepts matrices only
    for target in sorted(OptimizerCall.known().values(), key=lambda t: t.__name__):
        if target.__module__.startswith("torch.optim."):
            without = target.__name__ in ("LBFGS", "Rprop", "SparseAdam")
            config = replace(FLAT, optimizer=target, weight_decay=0.0 if without else 0.25)
            optimizer = build_optimizer(Stages(parameters, config.stages), config, 16)
            assert optimizer.param_groups[0]["lr"] == 1.0, target
            assert without or optimizer.param_groups[0]["weight_decay"] == 0.25, target


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": partial(torch.optim.SGD, lr=0.1)}, "set train.lr instead"),
        ({"optimizer": partial(torch.optim.SGD, weight_decay=0.1)}, "set train.weight_decay"),
        ({"optimizer": torch.optim.Rprop, "weight_decay": 0.1}, "--train.weight-decay 0"),
        ({"optimizer": partial(torch.optim.SGD, nesterov=True)}, "cannot be created: Nesterov"),
        ({"optimizer": partial(torch.optim.SGD, speed=1)}, "cannot be created: .*speed"),
        (
            {"optimizer": partial(torch.optim.SGD, fused=True), "precision": "16"},
            "--train.max-grad-norm 0",
        ),
        ({"schedule": ReduceLROnPlateau}, "waits for a metric"),
        ({"schedule": StepLR}, "cannot be created: .*step_size"),
        ({"schedule": LambdaLR}, "cannot be created: .*lr_lambda"),
        ({"schedule": partial(OneCycleLR, max_lr=[0.1, 0.2])}, "name in train.stages"),
    ],
)
def test_invalid_optimisers_and_schedules_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        start(replace(FLAT, **fields))

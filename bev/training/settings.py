"""The settings of a training run."""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch.optim.lr_scheduler import ConstantLR

from bev.calls import Call, flag
from bev.errors import ConfigError


class OptimizerCall(Call):
    """An optimiser without its parameters and without what ``TrainConfig`` gives it."""

    home, family, what = "torch.optim", "Optimizer", "an optimiser of torch"


class ScheduleCall(Call):
    """A schedule of the learning rate without its optimiser."""

    home, family, what = "torch.optim.lr_scheduler", "LRScheduler", "a schedule of torch"


# What a config file gives; the config keeps a call.
Optimizer = Annotated[OptimizerCall | type | partial, flag(OptimizerCall)]
Schedule = Annotated[ScheduleCall | type | partial, flag(ScheduleCall)]


@dataclass(frozen=True)
class InitConfig:
    """Trained weights to start from; the run itself is a new one (``--resume`` goes on with one).

    What fits by name and shape is loaded, the head's classes by their names; the rest starts anew
    and is reported, on the terminal and in the run folder's ``weights.txt``.

    Attributes:
        weights: a checkpoint of a run, or a file of weights; None starts without.
        only: parts to load, by the beginning of their tensors' names (``backbone``,
            ``view.depth_net``, ``backbone.body.layer*``); empty for all.
        skip: parts not to load.
    """

    weights: Path | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageConfig:
    """A part of the run: what trains in it, and at which rate. Parts are named as in ``init``.

    What does not train keeps its weights and its batch norm statistics to the bit, and runs as in
    evaluation (no dropout). ``model.backbone.frozen_stages`` freezes in all stages.

    Attributes:
        start: where it begins: a fraction of the run below 1, else a number of optimiser steps.
        only: parts that train; empty for all.
        frozen: parts that do not.
        fixed_norms: parts whose batch norms keep their statistics and normalise by them, whether
            their weights train or not.
        rates: parts, and what the learning rate is multiplied by there; of several that hold a
            tensor the last decides.
    """

    start: float = 0.0
    only: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    fixed_norms: tuple[str, ...] = ()
    rates: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.start < 0 or not (self.start < 1 or float(self.start).is_integer()):
            raise ConfigError(
                f"A stage of train.stages starts at {self.start}; give a fraction of the run below"
                " 1, or a whole number of steps."
            )
        for part, factor in self.rates:
            if not 0 < factor < math.inf:
                raise ConfigError(
                    f"train.stages: the rate of {part!r} is multiplied by {factor}; give a number"
                    " above 0, or name the part in frozen."
                )

    @property
    def is_fraction(self) -> bool:
        """Whether the start depends on how long the run is."""
        return 0 < self.start < 1


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Defaults are BEVDet's (Huang et al. 2021) unless said otherwise.

    Attributes:
        init: trained weights to start from.
        epochs: passes over the training split.
        max_steps: stop after this many optimiser steps; -1 for no limit.
        max_minutes: stop after this time; 0 for no limit.
        optimizer: a class of ``torch.optim`` or another ``Optimizer``, or ``functools.partial`` of
            one; it gets ``lr`` and ``weight_decay`` from here.
        lr: learning rate at a global batch of ``lr_batch``.
        lr_batch: the rate is scaled by global batch / ``lr_batch``; 0 takes ``lr`` as it is.
        weight_decay: of the optimiser.
        warmup_steps: the schedule's rate is multiplied by a factor that rises linearly from 1/1000
            to 1.
        schedule: a class of ``torch.optim.lr_scheduler``, or ``functools.partial`` of one, stepped
            after every optimiser step. Its lengths are steps, or fractions of the run where they
            are floats; see ``bev.training.optimization.schedule`` for what is filled in.
        stages: what trains from which step on, and at which part of the rate; one stage that
            trains everything is the ordinary run.
        max_grad_norm: greatest gradient norm; 0 is off.
        accumulate: batches an optimiser step.
        ema: greatest decay of the averaged weights; 0 is off. Averaged weights are what is
            validated, and what a checkpoint's ``state_dict`` holds.
        ema_start: the decay is ema * (1 - exp(-n / 2000)) with n counting from here.
        compile: ``torch.compile`` of backbone, neck, BEV encoder and heads; checkpoints are those
            of a run without.
        precision: "auto" is bf16 on GPUs and CPUs that compute with it (CPUs with AMX), else 32.
        devices: processes on this machine; 0 for all GPUs, or 1 process without any.
        strategy: Lightning's; "auto" is DDP for several devices.
        threads: CPU threads a process; 0 for cores / devices.
        validate_every: epochs between evaluations of the validation split; 0 only at the end.
        save_minutes: least time between two writes of ``last.ckpt``; 0 writes after every step.
        pictures: samples drawn at the end.
        seed: of everything random.
        deterministic: the same bits on every run on one machine (slower on a GPU).
        log_every: steps between log entries.
        runs: parent of the run folders.
        run_name: name of this run's folder; empty for the time it starts.
    """

    init: InitConfig = InitConfig()
    epochs: int = 24
    max_steps: int = -1
    max_minutes: float = 0.0
    optimizer: Optimizer = OptimizerCall(torch.optim.AdamW)
    lr: float = 2e-4
    lr_batch: int = 64
    weight_decay: float = 1e-7
    warmup_steps: int = 200
    schedule: Schedule = ScheduleCall(ConstantLR, factor=1.0)
    stages: tuple[StageConfig, ...] = (StageConfig(),)
    max_grad_norm: float = 5.0
    accumulate: int = 1
    ema: float = 0.999
    ema_start: int = 10_560
    compile: bool = False
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    devices: int = 0
    strategy: str = "auto"
    threads: int = 0
    validate_every: int = 1
    save_minutes: float = 5.0
    pictures: int = 4
    seed: int = 0
    deterministic: bool = False
    log_every: int = 20
    runs: Path = Path("runs")
    run_name: str = ""

    def __post_init__(self) -> None:
        for name, kind in {"optimizer": OptimizerCall, "schedule": ScheduleCall}.items():
            object.__setattr__(self, name, kind.of(getattr(self, name), f"train.{name}"))
        if not self.stages or self.stages[0].start != 0:
            raise ConfigError("train.stages needs a stage that starts at 0.")

"""Settings of a training run."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
from torch.optim.lr_scheduler import ConstantLR

from bev.bounds import Bound, Count, Natural, NonNegative, Positive, Seed, check_clashes
from bev.calls import Call, flag

Minutes = Annotated[float, Bound(least=0, most=10**7)]


class OptimizerCall(Call):
    """Optimiser without its parameters and without the arguments that ``TrainConfig`` sets."""

    home, family, what = "torch.optim", "Optimizer", "an optimiser of torch"
    own = ("bev.training.optimization.muon",)


class ScheduleCall(Call):
    """Learning rate schedule without its optimiser."""

    home, family, what = "torch.optim.lr_scheduler", "LRScheduler", "a schedule of torch"


# Values in a config file; the config stores a call.
Optimizer = Annotated[OptimizerCall | type | partial, flag(OptimizerCall)]
Schedule = Annotated[ScheduleCall | type | partial, flag(ScheduleCall)]


@dataclass(frozen=True)
class InitConfig:
    """Trained weights to start a new run from (``--resume`` continues a run instead).

    Tensors whose names and shapes match are loaded, and the classes of the head by their names; all
    others keep their initialisation. The result is reported on the terminal and in ``weights.txt``
    of the run folder.

    Attributes:
        weights: checkpoint of a run, or file of weights; None for none.
        only: parts to load, as prefixes of tensor names (``backbone``, ``view.depth_net``,
            ``backbone.body.layer*``); empty for all.
        skip: parts not to load.
    """

    weights: Path | None = None
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageConfig:
    """Stage of the run: the parts that train in it, and their learning rates.

    Parts are named as in ``init``. Parts that do not train keep their weights and their batch norm
    statistics exactly, and run in evaluation mode (no dropout). ``model.backbone.frozen_stages``
    freezes parts in all stages.

    Attributes:
        start: start of the stage: a fraction of the run if below 1, otherwise a number of optimiser
            steps.
        only: parts that train; empty for all.
        frozen: parts that do not train.
        fixed_norms: parts whose batch norms keep their statistics and normalise with them, whether
            or not their weights train.
        rates: parts and factors on their learning rate; if several contain a tensor, the last one
            applies.
        adjacent: train with the adjacent frames; off, their BEV features are zero in training and
            their images are not processed. BEVDet4D leaves them out of its first epochs.
    """

    start: NonNegative = 0.0
    only: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    fixed_norms: tuple[str, ...] = ()
    rates: tuple[tuple[str, Positive], ...] = ()
    adjacent: bool = True

    def __post_init__(self) -> None:
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about a start that is neither a fraction nor a step."""
        if not (self.start < 1 or float(self.start).is_integer()):
            yield (
                f"A stage of train.stages starts at {self.start}; give a fraction of the run below"
                " 1, or a whole number of steps."
            )

    @property
    def is_fraction(self) -> bool:
        """True if the start depends on the length of the run."""
        return 0 < self.start < 1


@dataclass(frozen=True)
class TensorBoardConfig:
    """Contents of the TensorBoard event files of a run.

    Attributes:
        events: write event files: losses, learning rates, gradient norms, validation figures, and
            the settings with the final figures.
        pr_curves: precision-recall curves of each validation, by class and distance.
        pictures: number of validation samples that are drawn at each validation.
        graph: graph of the layers of the model.
        histograms: optimiser steps between histograms of all weights and gradients; 0 for none.
    """

    events: bool = True
    pr_curves: bool = True
    pictures: Natural = 4
    graph: bool = True
    histograms: Natural = 0


@dataclass(frozen=True)
class TrackingConfig:
    """Trackers of experiments that a run writes to, beside its own files.

    Attributes:
        loggers: "wandb" (Weights & Biases) and "mlflow"; empty for none.
        project: project, which MLflow calls experiment; empty for the name of the experiment.
        online: send everything to the tracker's server. Off, nothing leaves the machine: W&B writes
            to the run folder, MLflow to ``mlflow.db`` in the folder of runs.
        server: address of the server, of MLflow if both are used; empty for W&B's own.
    """

    loggers: tuple[Literal["wandb", "mlflow"], ...] = ()
    project: str = ""
    online: bool = False
    server: str = ""

    def __post_init__(self) -> None:
        check_clashes(self)

    def server_of(self, kind: Literal["wandb", "mlflow"]) -> str:
        """Address of a tracker's server; empty for W&B's own."""
        return "" if kind == "wandb" and "mlflow" in self.loggers else self.server

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about servers that are not used, or missing."""
        if len(set(self.loggers)) != len(self.loggers):
            yield "train.tracking.loggers names a tracker twice; name it once."
        if self.server and not self.online:
            yield (
                f"train.tracking.server is {self.server}, to which nothing is sent; set"
                " --train.tracking.online, or leave the server out."
            )
        if self.online and not self.loggers:
            yield "train.tracking.online has nothing to send; set --train.tracking.loggers wandb."
        if self.online and not self.server and "mlflow" in self.loggers:
            yield "MLflow is to be sent to no server; set --train.tracking.server to its address."


@dataclass(frozen=True)
class TrainConfig:
    """Training settings. Defaults are those of BEVDet (Huang et al. 2021) unless stated otherwise.

    Attributes:
        init: trained weights to start from.
        epochs: passes over the training split.
        max_steps: maximum number of optimiser steps; -1 for no limit.
        max_minutes: maximum training time, minutes; 0 for no limit.
        optimizer: class of ``torch.optim`` or another ``Optimizer``, or ``functools.partial`` of
            one; ``lr`` and ``weight_decay`` are passed to it.
        lr: learning rate at a global batch of ``lr_batch``.
        lr_batch: the rate is scaled by global batch / ``lr_batch``; 0 uses ``lr`` unscaled.
        weight_decay: weight decay of the optimiser.
        warmup_steps: number of steps in which the rate of the schedule is multiplied by a factor
            that rises linearly from 1/1000 to 1.
        schedule: class of ``torch.optim.lr_scheduler``, or ``functools.partial`` of one, stepped
            after every optimiser step. Its lengths are steps, or fractions of the run if they are
            floats; see ``bev.training.optimization.schedule`` for the arguments that are filled in.
        stages: parts of the model that train, and factors on their learning rate, by stage; the
            default is one stage that trains everything.
        max_grad_norm: maximum gradient norm; 0 turns clipping off.
        accumulate: batches per optimiser step (gradient accumulation).
        ema: maximum decay of the averaged weights; 0 turns averaging off. The averaged weights are
            validated, and are the ``state_dict`` of a checkpoint.
        ema_start: the decay is ema * (1 - exp(-n / 2000)), with n counting from this number, but at
            most from four times the steps of the run (with ``max_minutes``, of those so far).
        compile: use ``torch.compile`` for backbone, neck, BEV encoder and heads; checkpoints are
            the same as without.
        precision: "auto" is bf16 on GPUs and CPUs that compute in it (CPUs with AMX), otherwise 32.
        devices: processes on this machine; 0 for all GPUs, or 1 process without GPUs.
        strategy: strategy of Lightning; "auto" is DDP for several devices.
        sync_batch_norm: compute the statistics of batch norms over the samples of all processes, so
            that n processes train like one with n times the batch; off, over those of each process.
        threads: CPU threads per process; 0 for cores / devices.
        validate_every: epochs between evaluations of the validation split; 0 for only at the end.
        save_minutes: minimum time between two writes of ``last.ckpt``, minutes; 0 writes after
            every step.
        pictures: number of samples drawn at the end.
        seed: random seed of the run.
        deterministic: make runs on the same machine reproduce bit for bit (slower on a GPU).
        log_every: steps between log entries.
        tensorboard: contents of the TensorBoard event files.
        tracking: other trackers of experiments.
        runs: parent folder of the run folders.
        run_name: name of the run folder; empty for the start time.
    """

    init: InitConfig = InitConfig()
    epochs: Count = 24
    max_steps: Annotated[int, Bound(least=-1)] = -1
    max_minutes: Minutes = 0.0
    optimizer: Optimizer = OptimizerCall(torch.optim.AdamW)
    lr: NonNegative = 2e-4
    lr_batch: Natural = 64
    weight_decay: NonNegative = 1e-7
    warmup_steps: Natural = 200
    schedule: Schedule = ScheduleCall(ConstantLR, factor=1.0)
    stages: tuple[StageConfig, ...] = (StageConfig(),)
    max_grad_norm: NonNegative = 5.0
    accumulate: Count = 1
    ema: Annotated[float, Bound(least=0, below=1)] = 0.999
    ema_start: Natural = 10_560
    compile: bool = False
    precision: Literal["auto", "32", "bf16", "16"] = "auto"
    devices: Natural = 0
    strategy: str = "auto"
    sync_batch_norm: bool = False
    threads: Natural = 0
    validate_every: Natural = 1
    save_minutes: Minutes = 5.0
    pictures: Natural = 4
    seed: Seed = 0
    deterministic: bool = False
    log_every: Count = 20
    tensorboard: TensorBoardConfig = TensorBoardConfig()
    tracking: TrackingConfig = TrackingConfig()
    runs: Path = Path("runs")
    run_name: str = ""

    def __post_init__(self) -> None:
        for name, kind in {"optimizer": OptimizerCall, "schedule": ScheduleCall}.items():
            object.__setattr__(self, name, kind.of(getattr(self, name), f"train.{name}"))
        check_clashes(self)

    def clashes(self) -> Iterator[str]:
        """Iterate over sentences about stages that do not cover the run."""
        if not self.stages or self.stages[0].start != 0:
            yield "train.stages needs a stage that starts at 0."

"""Lightning trainer of a run, and set-up of its process."""

import logging
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import cv2
import torch
from lightning import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.strategies import DDPStrategy, Strategy

from bev.machine import default_device, has_fast_bf16, threads_a_process
from bev.training.checkpoint.io import CheckedCheckpointIO
from bev.training.checkpoint.random_state import RandomState
from bev.training.checkpoint.saving import BestCheckpoint, LastCheckpoint
from bev.training.distributed.launch import environment, machines
from bev.training.limits import StepLimit, TimeLimit
from bev.training.optimization.averaging import AveragedWeights
from bev.training.settings import TrainConfig

_Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def build_trainer(
    config: TrainConfig, folder: Path, devices: int, score: str, callbacks: Sequence[Callback]
) -> Trainer:
    """Build a trainer that writes to a run folder.

    Args:
        config: training settings.
        folder: folder of logs and checkpoints.
        devices: number of processes on this machine.
        score: validation figure that selects the best checkpoint.
        callbacks: callbacks in addition to those of every run.
    """
    averaging = AveragedWeights(config, default_device())
    checkpoints = folder / "checkpoints"
    strategy: str | Strategy = config.strategy
    if strategy == "auto" and devices > 1:
        strategy = DDPStrategy(gradient_as_bucket_view=True)  # saves a copy of all gradients
    # Flushed at every step: a resumed run does not log again what was logged before a kill.
    loggers: list[Logger] = [CSVLogger(folder, name="", version="", flush_logs_every_n_steps=1)]
    if config.tensorboard.events:
        from bev.training.tensorboard.logger import EventLogger

        loggers.append(EventLogger(folder))
    if config.tracking.loggers:
        from bev.training.tracking.tracker import Tracker

        tracking = config.tracking
        loggers.extend(Tracker(kind, tracking, folder, config.runs) for kind in tracking.loggers)
    return Trainer(
        accelerator="auto",
        devices=devices,
        num_nodes=machines(),
        strategy=strategy,
        precision=_precision(config.precision),
        plugins=[CheckedCheckpointIO(), *environment(devices)],
        logger=loggers,
        callbacks=[
            *([averaging] if config.ema > 0 else []),
            *callbacks,
            StepLimit(config.max_steps),
            TimeLimit(config.max_minutes),
            RandomState(),
            TQDMProgressBar(refresh_rate=1 if os.isatty(1) else config.log_every),
            LearningRateMonitor("step"),
            BestCheckpoint(checkpoints, score),
            LastCheckpoint(checkpoints, config.save_minutes),
        ],
        max_epochs=config.epochs,
        check_val_every_n_epoch=config.validate_every or config.epochs + 1,
        num_sanity_val_steps=0,
        log_every_n_steps=config.log_every,
        enable_model_summary=False,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.max_grad_norm or None,
        deterministic=config.deterministic,
        use_distributed_sampler=False,
    )


def prepare_process(config: TrainConfig, devices: int) -> None:
    """Seed this process, set its number of threads, and silence warnings."""
    _quiet()
    seed_everything(config.seed, workers=True, verbose=False)
    torch.set_num_threads(threads_a_process(config.threads, devices))
    cv2.setNumThreads(1)


def _precision(name: str) -> _Precision:
    if name == "auto":
        name = "bf16" if has_fast_bf16() else "32"
    modes: dict[str, _Precision] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
    return modes[name]


def _quiet() -> None:
    """Silence advertisements and warnings that do not apply, for the progress bar."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # The data module stores the position: its loaders continue within an epoch.
    warnings.filterwarnings("ignore", ".*resuming from a checkpoint that ended before the epoch.*")
    warnings.filterwarnings("ignore", ".*number of training batches.*smaller than the logging.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*Experiment logs directory .* exists and is not empty.*")
    warnings.filterwarnings(
        "ignore", ".*in eval mode at the start of training.*"
    )  # intended, see stages
    warnings.filterwarnings("ignore", ".*overridden `transfer_batch_to_device`.*")
    warnings.filterwarnings("ignore", ".*It is recommended to use .self.log.*sync_dist=True.*")
    warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*")

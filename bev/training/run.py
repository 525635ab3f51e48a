"""One run from its config to its folder: train, evaluate, draw."""

import logging
import os
import shutil
import time
import warnings
from pathlib import Path

import cv2
import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from bev.config import Experiment, save_config
from bev.data.dataset import KeyFrames
from bev.errors import TrainingError
from bev.evaluation.result import Result
from bev.evaluation.segmentation import MEAN
from bev.machine import device_name, has_fast_bf16, local_processes, peak_memory, threads_a_process
from bev.training.checkpoint.loading import check_resumable, home_of
from bev.training.checkpoint.random_state import RandomState
from bev.training.checkpoint.saving import BestCheckpoint, LastCheckpoint, TimeLimit
from bev.training.datamodule import KeyFrameData, ending_workers
from bev.training.initialization import starting_model, write_account
from bev.training.metrics import OfficialMetrics
from bev.training.module import TrainingModule
from bev.training.optimization.averaging import AveragedWeights
from bev.training.record import RECORD, RunRecord, count_flops
from bev.training.settings_check import check_settings
from bev.visualization.report.run import draw_samples, write_report

# Set for the processes that Lightning starts for further devices: all write into one folder.
_RUN_VARIABLE = "BEV_RUN_FOLDER"


def train(
    config: Experiment, resume: Path | None = None, notice: str = ""
) -> tuple[Path, Result | None]:
    """Train, evaluate with the official metrics, draw a few samples.

    Args:
        config: the experiment.
        resume: a checkpoint to go on from; the run continues in its folder where it lies in one.
        notice: what the report page says first, if anything.

    Returns:
        The run folder, and what the final evaluation found (None on other ranks than 0).

    Raises:
        BevError: for bad data, weights, checkpoints or settings; see ``bev.errors``.
    """
    check_settings(config)
    devices = local_processes(config.train.devices)
    if resume is not None:
        check_resumable(resume, config, devices * _machines())
    folder = run_folder(config, resume)
    _quiet()
    seed_everything(config.train.seed, workers=True, verbose=False)
    threads = threads_a_process(config.train.threads, devices)
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)

    data = KeyFrameData(config)
    data.setup("fit")
    model, weights = starting_model(config, resumed=resume is not None)
    module = TrainingModule(config, model)
    metrics = OfficialMetrics(folder)
    trainer = _trainer(config, folder, devices, metrics)
    if trainer.is_global_zero:
        _keep_records(folder)
        save_config(config, folder / "config.yaml")
        parameters = sum(p.numel() for p in module.parameters())
        print(
            f"run folder {folder}; {parameters / 1e6:.2f} M parameters; {len(data.frames['train'])}"
            f" key frames to train on, {len(data.plan)} visits an epoch;"
            f" {len(data.frames['val'])} to evaluate on",
            flush=True,
        )
        write_account(folder, weights)
    with ending_workers():
        trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        if metrics.validated_step != trainer.global_step:
            trainer.validate(module, data, verbose=False)
    os.environ.pop(_RUN_VARIABLE, None)
    if not trainer.is_global_zero:
        return folder, None
    pictures = draw_samples(module.model, data.frames["val"], config, folder)
    write_report(folder, config, metrics.result, pictures, notice)
    RunRecord(
        steps=trainer.global_step,
        training_minutes=round(metrics.training_seconds / 60, 3),
        parameters=sum(p.numel() for p in module.model.parameters()),
        peak_memory=peak_memory(),
        flops=count_flops(module.model, KeyFrames(data.frames["val"], config.data, training=False)),
        device=device_name(),
        processes=trainer.world_size,
    ).write(folder)
    return folder, metrics.result


def run_folder(config: Experiment, resume: Path | None) -> Path:
    """``runs/<config>/<name or time>``, the same on all ranks; made where needed.

    Raises:
        TrainingError: under torchrun without a name for the run, or where the folder already holds
            another run.
    """
    if resume is not None and home_of(resume) != resume.parent:
        folder = home_of(resume)
    elif _RUN_VARIABLE in os.environ and "LOCAL_RANK" in os.environ:
        folder = Path(os.environ[_RUN_VARIABLE])
    else:
        name = config.train.run_name
        if not name and "TORCHELASTIC_RUN_ID" in os.environ:
            raise TrainingError(
                "Under torchrun all processes need one run folder: set --train.run-name."
            )
        folder = config.train.runs / config.name / (name or time.strftime("%Y-%m-%d_%H-%M-%S"))
        kept = sorted((folder / "checkpoints").glob("*.ckpt"))  # those begun end in .partial
        if kept:
            raise TrainingError(
                f"Run folder {folder} holds checkpoints already; choose another --train.run-name,"
                f" or go on with --resume {kept[-1]}."
            )
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[_RUN_VARIABLE] = str(folder)
    return folder


def _trainer(config: Experiment, folder: Path, devices: int, metrics: Callback) -> Trainer:
    train = config.train
    checkpoints = folder / "checkpoints"
    callbacks: list[Callback] = [
        metrics,
        BestCheckpoint(checkpoints / "best.ckpt", "NDS" if config.model.detects else MEAN),
        TimeLimit({"minutes": train.max_minutes} if train.max_minutes else None, verbose=False),
        LastCheckpoint(checkpoints / "last.ckpt", train.save_minutes),
        RandomState(),
        TQDMProgressBar(refresh_rate=1 if os.isatty(1) else train.log_every),
        LearningRateMonitor("step"),
    ]
    if train.ema > 0:
        callbacks.insert(0, AveragedWeights(train.ema, train.ema_start))
    every = train.validate_every
    strategy = train.strategy
    if strategy == "auto" and devices > 1:
        strategy = DDPStrategy(gradient_as_bucket_view=True)  # spares a copy of all gradients
    trainer = Trainer(
        accelerator="auto",
        devices=devices,
        num_nodes=_machines(),
        strategy=strategy,
        precision=_precision(train.precision),
        logger=[
            CSVLogger(folder, name="", version=""),
            TensorBoardLogger(folder, name="", version=""),
        ],
        callbacks=callbacks,
        max_epochs=train.epochs,
        max_steps=train.max_steps,
        check_val_every_n_epoch=every or train.epochs + 1,
        num_sanity_val_steps=0,
        enable_checkpointing=False,  # ours are among the callbacks
        log_every_n_steps=train.log_every,
        enable_model_summary=False,
        accumulate_grad_batches=train.accumulate,
        gradient_clip_val=train.clip or None,
        deterministic=train.deterministic,
        use_distributed_sampler=False,
    )
    # With max_steps, Lightning (2.6) takes a run that stopped at an epoch's end for one within an
    # epoch, and skips the next. Steps are limited just the same without this.
    trainer.fit_loop._iteration_based_training = lambda: False
    return trainer


def _machines() -> int:
    return int(os.environ.get("GROUP_WORLD_SIZE", 1))  # torchrun's


def _precision(name: str) -> str:
    if name == "auto":
        name = "bf16" if has_fast_bf16() else "32"
    return {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}[name]


def _keep_records(folder: Path) -> None:
    """Keep an earlier part's records: the new part writes files of the same names."""
    for path in (folder / "metrics.csv", folder / "config.yaml", folder / RECORD):
        if path.exists():
            before = f"{path.stem}_before_resume_"
            number = 1 + len(list(folder.glob(f"{before}*{path.suffix}")))
            kept = folder / f"{before}{number}{path.suffix}"
            if path.name == "config.yaml":
                shutil.copyfile(path, kept)  # other ranks know the run folder by it
            else:
                path.rename(kept)


def _quiet() -> None:
    """Keep the terminal for the progress bar: no advertisements, no advice about loaders."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # The data module keeps the position: its loaders go on within an epoch.
    warnings.filterwarnings("ignore", ".*resuming from a checkpoint that ended before the epoch.*")
    warnings.filterwarnings("ignore", ".*number of training batches.*smaller than the logging.*")
    warnings.filterwarnings("ignore", ".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*Experiment logs directory .* exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")  # as asked
    warnings.filterwarnings("ignore", ".*overridden `transfer_batch_to_device`.*")
    warnings.filterwarnings("ignore", ".*It is recommended to use .self.log.*sync_dist=True.*")
    warnings.filterwarnings("ignore", ".*treespec, LeafSpec.*")

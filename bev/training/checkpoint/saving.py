"""Which checkpoints a run keeps: the last, and the best by the score of the averaged weights.

A checkpoint is written to a file beside the one that it replaces, and takes its name when it is
whole: a run that is killed while it writes leaves the earlier one.
"""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from bev.files import replacing
from bev.training.checkpoint.signals import Stopped, StopSignals


def ends_step(trainer: Trainer, batch_index: int) -> bool:
    """Whether a batch of the epoch is the last of an optimiser step."""
    done = batch_index + 1
    return done % trainer.accumulate_grad_batches == 0 or done == trainer.num_training_batches


def write_checkpoint(trainer: Trainer, path: Path) -> None:
    """Write a checkpoint, whole or not at all; all ranks must take part.

    All ranks write to one name, and some strategies a folder, so ``replacing`` does not serve.
    """
    partial = path.with_name(f".{path.name}.partial")
    trainer.save_checkpoint(partial, weights_only=False)
    if trainer.is_global_zero:
        if path.is_dir():  # some sharded strategies write folders
            shutil.rmtree(path)
        os.replace(partial, path)
    trainer.strategy.barrier()


class LastCheckpoint(Callback):
    """Keeps ``last.ckpt``: written where the last one is old, at the end, and on SIGTERM or SIGINT.

    It is written after whole optimiser steps only, since gradients that are being accumulated are
    not kept: a run that breaks off within an accumulation goes on from before it. After the last
    step of an epoch it is written when the epoch has been validated, and always then. Whoever stops
    while the run validates goes back to the latest one written before.

    Args:
        path: the file.
        minutes: least time between two; 0 writes after every step.

    Raises:
        Stopped: after the step in which a signal came, once it is logged and written.
    """

    def __init__(self, path: Path, minutes: float) -> None:
        self.path, self.seconds, self.written = path, 60 * minutes, time.perf_counter()
        self.signals = StopSignals()
        self.fresh = self.stopping = False  # what is to be done once the step is logged
        self.validated = False  # since the last write

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.signals.listen()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.signals.close()
        if self.stopping:
            self._stop(trainer)

    def on_exception(self, trainer: Trainer, module: LightningModule, error: BaseException) -> None:
        self.signals.close()

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, index: int
    ) -> None:
        if self.fresh:
            for logger in trainer.loggers:
                logger.save()
            self.fresh = False
        if self.stopping:
            self._stop(trainer)

    def _stop(self, trainer: Trainer) -> None:
        raise Stopped(
            f"Stopped by {self.signals.name} after step {trainer.global_step}; go on with"
            f" --resume {self.path}."
        )

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.validated = True

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        # After an epoch's last batch comes its validation, and on_train_epoch_end.
        if ends_step(trainer, index) and index + 1 < trainer.num_training_batches:
            ending = trainer.should_stop or trainer.global_step == trainer.max_steps
            self._write_where_due(trainer, ending)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if batches < trainer.num_training_batches:
            return  # stopped within the epoch: written after its step
        limits = trainer.fit_loop
        ending = (
            trainer.should_stop
            or self.validated
            or trainer.current_epoch + 1 == limits.max_epochs
            or trainer.global_step == limits.max_steps
        )
        self._write_where_due(trainer, ending)

    def _write_where_due(self, trainer: Trainer, ending: bool) -> None:
        # Ranks must agree whether to write: saving is a joint act.
        old = time.perf_counter() - self.written >= self.seconds
        decide = trainer.strategy.reduce_boolean_decision
        if not decide(ending or old or self.signals.received, all=False):
            return
        write_checkpoint(trainer, self.path)
        self.written, self.validated = time.perf_counter(), False
        self.fresh, self.stopping = True, decide(self.signals.received, all=False)


class BestCheckpoint(Callback):
    """Keeps ``best.ckpt``, and its score beside it in ``best.json``.

    The record is a file, so that a better checkpoint outlives a resumed run, and the validation
    after the end of training counts as any other.

    Args:
        path: the file.
        figure: the score; NDS, or mIoU of a model that detects nothing.
    """

    def __init__(self, path: Path, figure: str) -> None:
        self.path, self.record, self.figure = path, path.with_suffix(".json"), figure

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        score = trainer.callback_metrics[f"val/{self.figure}"].item()
        kept = json.loads(self.record.read_text()) if self.record.exists() else {}
        best = kept.get(self.figure, -1.0)
        if trainer.strategy.broadcast(score > best):
            write_checkpoint(trainer, self.path)
            if trainer.is_global_zero:
                entry = {self.figure: score}
                entry |= {"epoch": trainer.current_epoch, "step": trainer.global_step}
                with replacing(self.record) as partial:
                    partial.write_text(json.dumps(entry))


class TimeLimit(Timer):
    """Stops a run after a time, at the end of an optimiser step, so that no gradients are lost."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if ends_step(trainer, index):
            super().on_train_batch_end(trainer, module, outputs, batch, index)

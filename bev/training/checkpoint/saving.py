"""Checkpoints of a run: the latest, and the best by the score of the averaged weights.

Lightning's ``ModelCheckpoint`` decides when to save, by time and by score. The classes here prevent
saving within a gradient accumulation, and save at the end of a run, after validations and on
signals. ``bev.training.checkpoint.io`` writes the files.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from bev.errors import CheckpointError
from bev.files import replacing
from bev.plain_json import read_json
from bev.training.checkpoint.io import raise_fault
from bev.training.checkpoint.signals import Stopped, StopSignals
from bev.training.limits import ends_step


class SavedConfig(Callback):
    """Adds the experiment, and the names of user files that define its classes, to checkpoints.

    Args:
        plain: the experiment as plain data.
        code: files that define classes of the experiment; empty if bevlab defines all of them.
    """

    def __init__(self, plain: dict[str, Any], code: Sequence[Path] = ()) -> None:
        self.entries = {"config": plain, "code": [path.name for path in code]}

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.update(self.entries)


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt``: written at intervals, at the end, and on SIGTERM or SIGINT.

    The file is written only after complete optimiser steps, since accumulated gradients are not
    saved: a run that is interrupted within an accumulation resumes from before it. After the last
    step of an epoch, it is written once the epoch has been validated, and then always. A run that
    is stopped during validation resumes from the latest file written before.

    Args:
        folder: folder of the file.
        minutes: minimum time between two writes; 0 writes after every step.

    Raises:
        Stopped: after the step in which a signal arrived, once the checkpoint is written and
            logged.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        interval = timedelta(minutes=minutes)
        super().__init__(folder, "last", train_time_interval=interval, enable_version_counter=False)
        self.path, self.signals = folder / "last.ckpt", StopSignals()
        self.stopping = self.validated = self.saved = False

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: the interval restarts when a run resumes."""
        return {}

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        super().on_train_start(trainer, module)
        self.signals.listen()

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.saved = True

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, index: int
    ) -> None:
        self._stop_if_requested(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        # After the last batch of an epoch, on_train_epoch_end saves (after validation).
        if ends_step(trainer, index) and index + 1 < trainer.num_training_batches:
            self._save_if_due(trainer, module, trainer.should_stop)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if (
            batches == trainer.num_training_batches
        ):  # otherwise stopped within the epoch: already written
            ending = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
            self._save_if_due(trainer, module, ending or self.validated)
        self.validated = False

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.signals.close()
        self._stop_if_requested(trainer)

    def on_exception(self, trainer: Trainer, module: LightningModule, error: BaseException) -> None:
        self.signals.close()

    def _save_if_due(self, trainer: Trainer, module: LightningModule, due: bool) -> None:
        # All ranks must take the same decision: saving is a collective operation.
        self.stopping = trainer.strategy.reduce_boolean_decision(self.signals.received, all=False)
        self.saved = False
        if due or self.stopping:
            trainer.save_checkpoint(self.path, weights_only=False)
            super().on_train_start(trainer, module)  # resets the interval
        else:
            super().on_train_batch_end(
                trainer, module, None, None, 0
            )  # saves if the interval is over
        if self.saved:
            raise_fault(trainer)

    def _stop_if_requested(self, trainer: Trainer) -> None:
        if self.stopping:
            raise Stopped(
                f"Stopped by {self.signals.name} after step {trainer.global_step}; continue with"
                f" --resume {self.path}."
            )


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``, and its score in ``best.json`` next to it.

    Until there is a score, ``best.ckpt`` is that of the latest validation: one that failed or had
    no ground truth, whose score is NaN.

    The score is kept in a file, so that it survives resuming, and so that the validation after the
    end of training counts as any other.

    Args:
        folder: folder of the files.
        figure: name of the score, see ``bev.evaluation.evaluation.headline``.
    """

    def __init__(self, folder: Path, figure: str) -> None:
        super().__init__(
            folder,
            "best",
            monitor=f"val/{figure}",
            mode="max",
            save_on_train_epoch_end=False,  # save after validation instead
            enable_version_counter=False,
        )
        self.path, self.record, self.figure = folder / "best.ckpt", folder / "best.json", figure

    def state_dict(self) -> dict[str, Any]:
        """Return an empty state: the score is kept in a file."""
        return {}

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._recorded()  # an unreadable record of an earlier part of the run ends this one at once

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Return whether a score is above the recorded one, or there is none yet."""
        best = self._recorded()
        better = current is not None and (best is None or bool(current > best))
        return trainer.strategy.broadcast(better)

    def _recorded(self) -> float | None:
        """The score of ``best.ckpt``; None without a record of this score."""
        if not self.record.exists():
            return None
        return read_json(
            self.record,
            lambda entry: float(entry[self.figure]) if self.figure in entry.keys() else None,
            CheckpointError,
            "the best checkpoint is unknown; delete it, and the next validation writes both again.",
        )

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        score = trainer.callback_metrics[f"val/{self.figure}"]
        if not self.check_monitor_top_k(trainer, score):
            return
        if trainer.state.fn == "fit":
            super().on_validation_end(trainer, module)
        else:  # ModelCheckpoint saves only while fitting
            trainer.save_checkpoint(self.path, weights_only=False)
        raise_fault(trainer)
        if trainer.is_global_zero and not score.isnan():
            entry = {self.figure: score.item()}
            entry |= {"epoch": trainer.current_epoch, "step": trainer.global_step}
            with replacing(self.record) as partial:
                partial.write_text(json.dumps(entry))

"""The checkpoints that a run keeps: the last, and the best by the score of the averaged weights.

Lightning's ``ModelCheckpoint`` decides when to save, by the clock and by the score. The classes
here keep it from saving within an accumulation of gradients, and save at the end of a run, after
validations and on signals.
``bev.training.checkpoint.io`` writes.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from bev.files import replacing
from bev.training.checkpoint.io import raise_fault
from bev.training.checkpoint.signals import Stopped, StopSignals
from bev.training.limits import ends_step


class SavedConfig(Callback):
    """Puts the experiment into every checkpoint, and the names of files of one's own that it needs.

    Args:
        plain: the experiment as plain data.
        code: files that define classes of it; empty where they are this project's.
    """

    def __init__(self, plain: dict[str, Any], code: Sequence[Path] = ()) -> None:
        self.entries = {"config": plain, "code": [path.name for path in code]}

    def on_save_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint.update(self.entries)


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt``: written where the last one is old, at the end, and on SIGTERM or SIGINT.

    It is written after whole optimiser steps only, since gradients that are being accumulated are
    not kept: a run that breaks off within an accumulation goes on from before it. After the last
    step of an epoch it is written when the epoch has been validated, and always then. Whoever stops
    while the run validates goes back to the latest one written before.

    Args:
        folder: takes the file.
        minutes: least time between two; 0 writes after every step.

    Raises:
        Stopped: after the step in which a signal came, once it is written and logged.
    """

    def __init__(self, folder: Path, minutes: float) -> None:
        interval = timedelta(minutes=minutes)
        super().__init__(folder, "last", train_time_interval=interval, enable_version_counter=False)
        self.path, self.signals = folder / "last.ckpt", StopSignals()
        self.stopping = self.validated = self.saved = False

    def state_dict(self) -> dict[str, Any]:
        """Nothing: a part of a run starts its own clock."""
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
        self._stop_where_asked(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        # After an epoch's last batch comes its validation, and on_train_epoch_end.
        if ends_step(trainer, index) and index + 1 < trainer.num_training_batches:
            self._save_where_due(trainer, module, trainer.should_stop)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.validated = True

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if batches == trainer.num_training_batches:  # else stopped within: written after its step
            ending = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
            self._save_where_due(trainer, module, ending or self.validated)
        self.validated = False

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.signals.close()
        self._stop_where_asked(trainer)

    def on_exception(self, trainer: Trainer, module: LightningModule, error: BaseException) -> None:
        self.signals.close()

    def _save_where_due(self, trainer: Trainer, module: LightningModule, due: bool) -> None:
        # Ranks must agree whether to write: saving is a joint act.
        self.stopping = trainer.strategy.reduce_boolean_decision(self.signals.received, all=False)
        self.saved = False
        if due or self.stopping:
            trainer.save_checkpoint(self.path, weights_only=False)
            super().on_train_start(trainer, module)  # sets the clock
        else:
            super().on_train_batch_end(trainer, module, None, None, 0)  # looks at the clock
        if self.saved:
            raise_fault(trainer)

    def _stop_where_asked(self, trainer: Trainer) -> None:
        if self.stopping:
            raise Stopped(
                f"Stopped by {self.signals.name} after step {trainer.global_step}; go on with"
                f" --resume {self.path}."
            )


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``, and its score beside it in ``best.json``.

    The record is a file, so that a better checkpoint outlives a resumed run, and the validation
    after the end of training counts as any other.

    Args:
        folder: takes the files.
        figure: the score, see ``bev.evaluation.evaluation.headline``.
    """

    def __init__(self, folder: Path, figure: str) -> None:
        super().__init__(
            folder,
            "best",
            monitor=f"val/{figure}",
            mode="max",
            save_on_train_epoch_end=False,  # but where it is validated
            enable_version_counter=False,
        )
        self.path, self.record, self.figure = folder / "best.ckpt", folder / "best.json", figure

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the record is a file."""
        return {}

    def check_monitor_top_k(self, trainer: Trainer, current: Tensor | None = None) -> bool:
        """Whether a score is above the recorded one."""
        kept = json.loads(self.record.read_text()) if self.record.exists() else {}
        better = current is not None and bool(current > kept.get(self.figure, -1.0))
        return trainer.strategy.broadcast(better)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        score = trainer.callback_metrics[self.monitor]
        if not self.check_monitor_top_k(trainer, score):
            return
        if trainer.state.fn == "fit":
            super().on_validation_end(trainer, module)
        else:  # where ModelCheckpoint saves nothing
            trainer.save_checkpoint(self.path, weights_only=False)
        raise_fault(trainer)
        if trainer.is_global_zero:
            entry = {self.figure: score.item()}
            entry |= {"epoch": trainer.current_epoch, "step": trainer.global_step}
            with replacing(self.record) as partial:
                partial.write_text(json.dumps(entry))

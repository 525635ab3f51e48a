"""Which checkpoints a run keeps: the last, and the best by NDS of the averaged weights."""

import json
import time
from pathlib import Path

from lightning import Callback, LightningModule, Trainer


class LastCheckpoint(Callback):
    """Keeps ``last.ckpt``: written after an epoch where the last one is old, and at the end.

    Lightning's own writes at every epoch, which for a few samples means at every step.

    Args:
        path: the file.
        minutes: least time between two.
    """

    def __init__(self, path: Path, minutes: float = 5.0) -> None:
        self.path, self.seconds, self.written = path, 60 * minutes, time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        limits = trainer.fit_loop
        ending = (
            trainer.should_stop
            or trainer.current_epoch + 1 == limits.max_epochs
            or trainer.global_step == limits.max_steps
        )
        # Ranks must agree whether to write: saving is a joint act.
        old = trainer.strategy.broadcast(time.perf_counter() - self.written > self.seconds)
        if ending or old:
            trainer.save_checkpoint(self.path, weights_only=False)
            self.written = time.perf_counter()


class BestCheckpoint(Callback):
    """Keeps ``best.ckpt``, and its NDS beside it in ``best.json``.

    The record is a file, so that a better checkpoint outlives a resumed run, and the validation
    after the end of training counts as any other.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.record = path, path.with_suffix(".json")

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        score = trainer.callback_metrics["val/NDS"].item()
        best = json.loads(self.record.read_text())["NDS"] if self.record.exists() else -1.0
        if trainer.strategy.broadcast(score > best):
            trainer.save_checkpoint(self.path, weights_only=False)
            if trainer.is_global_zero:
                entry = {"NDS": score, "epoch": trainer.current_epoch, "step": trainer.global_step}
                self.record.write_text(json.dumps(entry))

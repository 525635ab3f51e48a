"""Ends of a run other than its last epoch: a number of optimiser steps, and a time.

Both stop after a whole optimiser step, so that no gradients that accumulate are lost.
"""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer


def ends_step(trainer: Trainer, batch_index: int) -> bool:
    """Whether a batch of the epoch is the last of an optimiser step."""
    done = batch_index + 1
    return done % trainer.accumulate_grad_batches == 0 or done == trainer.num_training_batches


class StepLimit(Callback):
    """Stops a run after a number of optimiser steps.

    Lightning's own ``max_steps`` serves only runs that count no epochs: with it, Lightning (2.6)
    takes a run that stopped at an epoch's end for one within an epoch, and skips the next.

    Args:
        steps: of the whole run, also where it is resumed; negative for no limit.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._stop_at(trainer, 0)

    def on_load_checkpoint(
        self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self._stop_at(trainer, checkpoint["global_step"])

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if ends_step(trainer, index):
            self._stop_at(trainer, trainer.global_step)

    def _stop_at(self, trainer: Trainer, step: int) -> None:
        trainer.should_stop = trainer.should_stop or 0 <= self.steps <= step


class TimeLimit(Timer):
    """Stops a run after some minutes of all its parts; 0 for no limit."""

    def __init__(self, minutes: float) -> None:
        super().__init__({"minutes": minutes} if minutes else None, verbose=False)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if ends_step(trainer, index):
            super().on_train_batch_end(trainer, module, outputs, batch, index)

"""Limits of a run other than its last epoch: a number of optimiser steps, a time, and a figure.

All stop after a complete optimiser step, so that no accumulated gradients are lost.
"""

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from bev.errors import TrainingError


def ends_step(trainer: Trainer, batch_index: int) -> bool:
    """Return whether a batch of the epoch is the last one of an optimiser step."""
    done = batch_index + 1
    return done % trainer.accumulate_grad_batches == 0 or done == trainer.num_training_batches


def total_steps(trainer: Trainer, max_steps: int) -> int:
    """Length of a run in optimiser steps, without a limit of its time.

    Args:
        trainer: trainer with its data.
        max_steps: maximum number of steps; negative for no limit.
    """
    total = trainer.estimated_stepping_batches  # infinite without a limit of epochs
    return int(min(total, max_steps) if max_steps >= 0 else total)


class StepLimit(Callback):
    """Stops a run after a number of optimiser steps.

    Lightning's own ``max_steps`` suits only runs without a number of epochs: with ``max_steps``,
    Lightning (2.6) treats a run that stopped at the end of an epoch as stopped within it, and skips
    the next epoch.

    Args:
        steps: maximum number of steps of the whole run, including the parts before it was resumed;
            negative for no limit.
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
    """Stops a run after a time in minutes, added up over all of its parts; 0 for no limit."""

    def __init__(self, minutes: float) -> None:
        super().__init__(timedelta(minutes=minutes) if minutes else None, verbose=False)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, index: int
    ) -> None:
        if ends_step(trainer, index):
            super().on_train_batch_end(trainer, module, outputs, batch, index)


class ValidationWatch(Callback):
    """Passes a figure of each validation on, and ends the run after it if asked to.

    A run that is ended early is complete: its checkpoints, evaluation and record are written.

    Args:
        figure: name of the figure, without ``val/``.
        report: function of the number of epochs and the figure that returns whether to end the
            run; called on rank 0. A figure that is not a number is not reported.
    """

    def __init__(self, figure: str, report: Callable[[int, float], bool]) -> None:
        self.figure, self.report = figure, report

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            return
        figures = trainer.callback_metrics
        if f"val/{self.figure}" not in figures:
            names = ", ".join(sorted(n.removeprefix("val/") for n in figures if "val/" in n))
            raise TrainingError(
                f"The validation has no figure {self.figure!r}; choose another one: {names}."
            )
        value = float(figures[f"val/{self.figure}"])
        over = False
        if trainer.is_global_zero and not math.isnan(value):
            over = self.report(trainer.current_epoch + 1, value)
        trainer.should_stop = trainer.strategy.broadcast(over) or trainer.should_stop

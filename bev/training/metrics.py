"""Validation metrics, and their record in the run folder."""

import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch.distributed
from lightning import Callback, LightningModule, Trainer

from bev.config import Experiment
from bev.data.batch import Batch
from bev.data.dataset import KeyFrames
from bev.data.source import FrameSource
from bev.errors import BevError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.evaluation import Evaluation, described, headline
from bev.evaluation.table import Result
from bev.files import replacing
from bev.models.detector import Prediction
from bev.paths import file_name
from bev.training.workers import shared_collate


class ValidationFrames(KeyFrames):
    """Key frames whose items are errors where a sample cannot be read.

    An error that is raised would end the training. Here it takes the place of the sample and of its
    batch, until :class:`ValidationMetrics` reports it.
    """

    def __getitem__(  # type: ignore[override]  # collate_valid takes the errors
        self, key: int | tuple[int, ...]
    ) -> Batch | BevError:
        try:
            return super().__getitem__(key)
        except Exception as error:
            return BevError(described(error))  # of a class that any process can unpickle


def collate_valid(samples: Sequence[Batch | BevError]) -> Batch | BevError:
    """Join samples; the first error takes the place of the batch."""
    readable = [sample for sample in samples if isinstance(sample, Batch)]
    failed = next((sample for sample in samples if isinstance(sample, BevError)), None)
    return shared_collate(readable) if failed is None else failed


class ValidationMetrics(Callback):
    """Evaluates the validation split: predictions of all ranks, scored on rank 0.

    Figures are logged as ``val/<name>``: the official nuScenes metrics, the depth errors if
    validation loads lidar, and the figures of each head; see ``bev.evaluation``. An evaluation that
    fails is reported and does not end the training; the headline figure is then NaN.

    Attributes:
        headline: name of the figure that selects the best checkpoint.
        result: result of the latest validation (rank 0), of the heads that have one.
        fault: sentence about the latest validation if it failed (rank 0); otherwise empty.
        trained: whether training has begun in this part of the run.
        validated_step: step of the latest validation; -1 before the first one.
        training_seconds: duration of all parts of the run, without validation.

    Args:
        run: run folder; ``evaluation/<split>/`` in it receives the files of the evaluation, and
            ``evaluation/history.jsonl`` one line per validation.
        config: the experiment.
        source: opened source of its data.
    """

    def __init__(self, run: Path, config: Experiment, source: FrameSource) -> None:
        self.run, self.config, self.source = run, config, source
        self.evaluation: Evaluation | None = None
        self.headline = headline(config.model, config.data)
        self.result: Result | None = None
        self.fault = ""
        self.trained = False
        self.validated_step = -1
        self.training_seconds = 0.0
        self._resumed_at: float | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.trained, self._resumed_at = True, time.perf_counter()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.training_seconds, self._resumed_at = self._seconds(), None

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.evaluation = Evaluation(self.config.model, self.config.data)
        self.result, self.fault = None, ""
        self.training_seconds, self._resumed_at = self._seconds(), None
        if trainer.world_size > 1:
            # Batch norm statistics differ between ranks: validate those that rank 0 will save.
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, 0)

    def on_validation_batch_end(  # type: ignore[override]  # outputs of validation_step
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Prediction | Exception,
        batch: Batch | BevError,
        batch_index: int,
        dataloader_index: int = 0,
    ) -> None:
        if isinstance(outputs, Exception):
            self._running.fail(outputs)
        elif isinstance(batch, Batch):
            with suppress(Exception):  # raised by compute() on rank 0
                self._running.update(outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._running.gather()
        scalars = {self.headline: math.nan}
        if trainer.is_global_zero:
            scalars |= self._evaluate(trainer)
        scalars = trainer.strategy.broadcast(scalars)
        self.evaluation = None
        module.log_dict(
            {f"val/{name}": value for name, value in scalars.items()}, rank_zero_only=False
        )
        self.validated_step = trainer.global_step
        if trainer.state.fn == "fit":
            self._resumed_at = time.perf_counter()

    def state_dict(self) -> dict:
        return {"training_seconds": self._seconds()}

    def load_state_dict(self, state: dict) -> None:
        self.training_seconds = state["training_seconds"]

    @property
    def _running(self) -> Evaluation:
        if self.evaluation is None:
            raise RuntimeError("No validation is running.")
        return self.evaluation

    def _seconds(self) -> float:
        running = 0.0 if self._resumed_at is None else time.perf_counter() - self._resumed_at
        return self.training_seconds + running

    def _evaluate(self, trainer: Trainer) -> dict[str, float]:
        split = self.config.data.splits[1]
        place = EvaluatedSplit(self.source, split, self.run / "evaluation" / file_name(split))
        try:
            result = self._running.compute(place)
        except Exception as error:
            result = self._running.result
            self.fault = result.missing or f"The evaluation failed: {described(error)}"
        self.result, scalars = result, result.scalars()
        minutes = self.training_seconds / 60
        heading = f"{split} after {trainer.global_step} steps, {minutes:.1f} minutes of training"
        print(f"\n{heading}\n{result.text() or self.fault}", flush=True)
        if scalars:
            self._record(trainer, result)
        return scalars

    def _record(self, trainer: Trainer, result: Result) -> None:
        """Add a line to the history of validations, which stays as it was on a full disk."""
        classes = result.classes.items()
        average_precision = {name: values["AP"] for name, values in classes if "AP" in values}
        entry = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "training_minutes": round(self.training_seconds / 60, 2),
            **result.scalars(),
            **({"AP": average_precision} if average_precision else {}),
        }
        history = self.run / "evaluation" / "history.jsonl"
        lines = history.read_text(encoding="utf-8") if history.is_file() else ""
        with replacing(history) as partial:
            partial.write_text(f"{lines}{json.dumps(entry)}\n", encoding="utf-8")

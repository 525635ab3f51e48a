"""The metrics of every validation, and their record."""

import json
import time
from pathlib import Path

import torch.distributed
from lightning import Callback, LightningModule, Trainer

from bev.config import Experiment
from bev.data.batch import Batch
from bev.data.source import FrameSource
from bev.errors import BevError, TrainingError
from bev.evaluation.base import EvaluatedSplit
from bev.evaluation.evaluation import Evaluation, Result
from bev.models.detector import Prediction


class ValidationMetrics(Callback):
    """Evaluates the validation split: what all ranks predicted, scored on rank 0.

    Figures are logged as ``val/<name>``: those of nuScenes' official metrics, of depth where
    validation loads lidar, and of each head; see ``bev.evaluation``.

    Attributes:
        result: of the latest validation (rank 0).
        validated_step: the step of the latest validation; -1 before the first.
        training_seconds: of all parts of the run, without validation.

    Args:
        run: the run folder; ``evaluation/<split>/`` below it takes the evaluation's files, and
            ``evaluation/history.jsonl`` a line for each validation.
        config: of the run.
    """

    def __init__(self, run: Path, config: Experiment) -> None:
        self.run, self.config = run, config
        self.source: FrameSource | None = None
        self.evaluation: Evaluation | None = None
        self.result: Result | None = None
        self.validated_step = -1
        self.training_seconds = 0.0
        self._resumed_at: float | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._resumed_at = time.perf_counter()

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.evaluation = Evaluation(self.config.model, self.config.data)
        self.training_seconds, self._resumed_at = self._seconds(), None
        if trainer.world_size > 1:
            # Each rank has batch norm statistics of its own: validate what rank 0 will save.
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, 0)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Prediction,
        batch: Batch,
        batch_index: int,
        dataloader_index: int = 0,
    ) -> None:
        self.evaluation.update(outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self.evaluation.gather()
        scalars: dict[str, float] | BevError = {}
        if trainer.is_global_zero:
            try:
                scalars = self._evaluate(trainer)
            except BevError as error:  # for all ranks: the others wait
                scalars = error
            except Exception as error:
                if trainer.world_size == 1:
                    raise
                scalars = TrainingError(
                    f"The evaluation failed on rank 0: {type(error).__name__}: {error}"
                )
        scalars = trainer.strategy.broadcast(scalars)
        if isinstance(scalars, BevError):
            raise scalars
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

    def _seconds(self) -> float:
        running = 0.0 if self._resumed_at is None else time.perf_counter() - self._resumed_at
        return self.training_seconds + running

    def _evaluate(self, trainer: Trainer) -> dict[str, float]:
        data = self.config.data
        split = data.splits[1]
        self.source = self.source or data.source.open(data)
        place = EvaluatedSplit(self.source, split, self.run / "evaluation" / split)
        found = self.evaluation.compute(place)
        self.result, scalars = found, found.scalars()
        minutes = self.training_seconds / 60
        classes = found.classes.items()
        average_precision = {name: values["AP"] for name, values in classes if "AP" in values}
        entry = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "training_minutes": round(minutes, 2),
            **scalars,
            **({"AP": average_precision} if average_precision else {}),
        }
        with (self.run / "evaluation" / "history.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        heading = f"{split} after {trainer.global_step} steps, {minutes:.1f} minutes of training"
        print(f"\n{heading}\n{found.text()}", flush=True)
        return scalars

"""The official metrics at every validation, and their record."""

import json
import time
from pathlib import Path

import torch.distributed
from lightning import Callback, LightningModule, Trainer

from bev.data.batch import Batch
from bev.data.settings import DataConfig
from bev.errors import BevError
from bev.evaluation.evaluation import Evaluation, Result
from bev.models.detector import Prediction


class OfficialMetrics(Callback):
    """Evaluates the validation split: the boxes of all ranks, scored by the devkit on rank 0.

    Where validation loads lidar, depth is measured as well, as ``val/depth_abs_rel`` and
    ``val/depth_rmse`` (metres); where the model segments, ``val/mIoU`` and each layer's IoU.

    Attributes:
        result: of the latest validation (rank 0).
        validated_step: the step of the latest validation; -1 before the first.
        training_seconds: of all parts of the run, without validation.

    Args:
        run: the run folder; ``evaluation/<split>/`` below it takes the devkit's files, and
            ``evaluation/history.jsonl`` a line for each validation.
        data: names the split.
    """

    def __init__(self, run: Path, data: DataConfig) -> None:
        self.run, self.data = run, data
        self.evaluation: Evaluation | None = None
        self.result: Result | None = None
        self.validated_step = -1
        self.training_seconds = 0.0
        self._resumed_at: float | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._resumed_at = time.perf_counter()

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.evaluation = Evaluation(module.model, self.data.outlines.layers)
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
        split = self.data.splits[1]
        folder = self.run / "evaluation" / split
        found = self.evaluation.compute(self.data.source.open(self.data).index, split, folder)
        self.result, scalars = found, found.scalars()
        minutes = self.training_seconds / 60
        entry = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "training_minutes": round(minutes, 2),
            **scalars,
            **({"AP": found.metrics.class_ap} if found.metrics else {}),
        }
        with (self.run / "evaluation" / "history.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        heading = f"{split} after {trainer.global_step} steps, {minutes:.1f} minutes of training"
        print(f"\n{heading}\n{found.text()}", flush=True)
        return scalars

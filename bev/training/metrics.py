"""The official metrics at every validation, and their record."""

import json
import time
from pathlib import Path

import torch.distributed
from lightning import Callback, LightningModule, Trainer

from bev.data.batch import Batch
from bev.evaluation.result import Measures, Result, conclude, measure
from bev.evaluation.submission import submission_rows
from bev.models.detector import Prediction


class OfficialMetrics(Callback):
    """Gathers the boxes of all ranks, writes the submission, runs the devkit's evaluation.

    Where validation loads lidar, depth is measured as well, as ``val/depth_abs_rel`` and
    ``val/depth_rmse`` (metres); where the model segments, ``val/mIoU`` and each layer's IoU.

    Attributes:
        result: of the latest validation (rank 0).
        measures: of the latest validation; of all ranks once it has ended (rank 0).
        validated_step: the step of the latest validation; -1 before the first.

    Args:
        run: the run folder; ``evaluation/<split>/`` below it takes the devkit's files, and
            ``evaluation/history.jsonl`` a line for each validation.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.rows: dict[str, list[dict]] = {}
        self.measures = Measures()
        self.result: Result | None = None
        self.validated_step = -1
        self.training_seconds = 0.0
        self._resumed_at: float | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._resumed_at = time.perf_counter()

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        self.rows, self.measures = {}, Measures()
        if self._resumed_at is not None:
            self.training_seconds += time.perf_counter() - self._resumed_at
            self._resumed_at = None
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
        self.measures += measure(module.model, outputs, batch, module.config.data.outlines.layers)
        frames = zip(batch.tokens, outputs.boxes, batch.global_from_ego, strict=True)
        for token, boxes, pose in frames:
            self.rows[token] = submission_rows(token, boxes, pose)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        self._gather(trainer)
        scalars = [None]
        if trainer.is_global_zero:
            scalars = [self._evaluate(trainer, module)]
        if trainer.world_size > 1:
            torch.distributed.broadcast_object_list(scalars)
        module.log_dict(
            {f"val/{name}": value for name, value in scalars[0].items()}, rank_zero_only=False
        )
        self.validated_step = trainer.global_step
        if trainer.state.fn == "fit":
            self._resumed_at = time.perf_counter()

    def state_dict(self) -> dict:
        running = 0.0 if self._resumed_at is None else time.perf_counter() - self._resumed_at
        return {"training_seconds": self.training_seconds + running}

    def load_state_dict(self, state: dict) -> None:
        self.training_seconds = state["training_seconds"]

    def _gather(self, trainer: Trainer) -> None:
        """Rank 0 gets what all ranks have found."""
        if trainer.world_size == 1:
            return
        parts: list = [None] * trainer.world_size if trainer.is_global_zero else []
        torch.distributed.gather_object((self.rows, self.measures), parts or None)
        if trainer.is_global_zero:
            self.rows = {token: own for rows, _ in parts for token, own in rows.items()}
            self.measures = sum((measures for _, measures in parts), Measures())

    def _evaluate(self, trainer: Trainer, module: LightningModule) -> dict[str, float]:
        data = module.config.data
        split = data.splits[1]
        folder = self.run / "evaluation" / split
        found = conclude(module.model, self.rows, self.measures, data.open(), split, folder)
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

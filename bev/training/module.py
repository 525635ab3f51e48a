"""Lightning module: training step, validation step and optimiser."""

import operator
from functools import reduce
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bev.data.batch import Batch
from bev.errors import BevError, TrainingError
from bev.machine import default_device
from bev.models.detector import Detector, Prediction
from bev.training.distributed.synchronized import synchronize
from bev.training.limits import total_steps
from bev.training.optimization.optimizer import build_optimizer, unscales
from bev.training.optimization.schedule import build_schedule
from bev.training.optimization.stages import Stages, stage_at
from bev.training.settings import TrainConfig


def compile_parts(
    model: Detector, backend: str = "inductor", options: dict[str, Any] | None = None
) -> None:
    """Compile the dense parts of a detector; the view transform, a few calls only, is left out.

    The modules are compiled in place: names of parameters are unchanged, and copies (averaged
    weights) are not compiled. ``options`` are those of :func:`torch.compile`.
    """
    for name in ("backbone", "neck", "encoder", *model.config.heads):
        getattr(model, name).compile(backend=backend, options=options)


def holds_whole_model(trainer: Trainer) -> bool:
    """Return whether each process holds all weights, which sharded strategies divide."""
    return isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)


def gradient_norms(model: nn.Module) -> dict[str, Tensor]:
    """Norm of all gradients ("total"), and of those of each part of a model that has any."""
    norms = {}
    for name, part in model.named_children():
        gradients = [p.grad for p in part.parameters() if p.grad is not None]
        if gradients:
            norms[name] = torch.nn.utils.get_total_norm(gradients)
    total = torch.stack([*norms.values()]).norm() if norms else torch.zeros(())
    return {"total": total, **norms}


class TrainingModule(LightningModule):
    """Trains a detector, which is its attribute ``model``.

    Args:
        model: the detector.
        config: training settings.
        batch_size: number of samples per process and batch; the learning rate may be scaled by it.

    Raises:
        ConfigError: if ``train.stages`` names a part that the model does not have.

    Raises (in training):
        TrainingError: if the loss is not finite; names the samples and the loss terms.
    """

    def __init__(self, model: Detector, config: TrainConfig, batch_size: int) -> None:
        super().__init__()
        self.model, self.config, self.batch_size = model, config, batch_size
        if config.sync_batch_norm:
            synchronize(self.model, default_device().type)
        if config.compile:
            compile_parts(self.model)
        self.stages = Stages(self.model, config.stages)
        self.stage, self.starts = 0, [0]
        self.stages.enter(0)  # before DDP collects the parameters that take a gradient

    def train(self, mode: bool = True) -> "TrainingModule":
        super().train(mode)
        if mode:
            self.stages.settle(self.stage)
        return self

    def on_train_start(self) -> None:
        self._enter_stage()
        if self.config.stages != TrainConfig.stages:
            self.print(self.stages.account(self.stage))

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        if self._enter_stage():
            self.print(f"\n{self.stages.account(self.stage)}")

    def _enter_stage(self) -> bool:
        """Begin the stage of the current step; returns whether the stage has changed.

        The stage is a function of the step, so no state needs to be saved.
        """
        stage = stage_at(self.starts, self.global_step)
        if stage == self.stage:
            return False
        self.stage = stage
        self.stages.enter(stage)
        strategy = self.trainer.strategy
        if isinstance(strategy, DDPStrategy) and isinstance(
            strategy.model, DistributedDataParallel
        ):
            # DDP expects gradients of the parameters that took one when it was created.
            strategy.model = self
            strategy.configure_ddp()
        return True

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        terms = self.model.loss(batch)
        loss = reduce(operator.add, terms.values())
        if not torch.isfinite(loss):
            values = ", ".join(f"{name} {value.item():.4g}" for name, value in terms.items())
            raise TrainingError(
                f"The loss is not finite at step {self.global_step} ({values}), samples"
                f" {', '.join(batch.tokens)}; earlier checkpoints are intact. Check these"
                " samples, or start a new run from earlier weights (--train.init.weights) with a"
                " lower --train.lr."
            )
        # Means over the processes, which are the losses of the joined batch.
        means = torch.stack([loss, *terms.values()]).detach()
        means = self.trainer.strategy.reduce(means, reduce_op="mean")
        for name, value in zip(["loss", *terms], means, strict=True):
            self.log(f"train/{name}", value, prog_bar=True, batch_size=len(batch))
        return loss

    def validation_step(  # type: ignore[override]  # Lightning passes any output to callbacks
        self, batch: Batch | BevError, batch_index: int
    ) -> Prediction | Exception:
        """Predict a batch; an error is returned, since it must not end the training."""
        if isinstance(batch, BevError):
            return batch
        try:
            return self.model.predict(batch)
        except Exception as error:
            return error

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        config = self.config
        samples = self.batch_size * self.trainer.world_size * config.accumulate
        optimizer = build_optimizer(self.stages, config, samples)
        total = total_steps(self.trainer, config.max_steps)
        self.starts = self.stages.starts(total)
        schedule = build_schedule(optimizer, self.stages, config, samples, total)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, also for fused optimisers in mixed precision; log their norms before.

        Lightning (2.6) rejects this combination. In float16, fused optimisers unscale gradients
        only within their step; ``build_optimizer`` rejects them together with clipping, and their
        norms are not logged. In bf16, gradients are not scaled.
        """
        plugin = self.trainer.precision_plugin
        mixed, fused = isinstance(plugin, MixedPrecision), unscales(optimizer)
        scaled = isinstance(plugin, MixedPrecision) and plugin.scaler is not None
        if not (scaled and fused):
            self._log_norms()
        if gradient_clip_val and mixed and fused:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def _log_norms(self) -> None:
        """Log the norms of the gradients in the steps whose losses are logged.

        Lightning's ``log`` takes milliseconds, in every step: it would add per cent to a fast one.
        """
        step, trainer = self.global_step, self.trainer
        if (step + 1) % self.config.log_every or not holds_whole_model(trainer):
            return
        norms = gradient_norms(self.model)
        values = torch.stack([*norms.values()]).tolist()
        for logger in trainer.loggers:
            logger.log_metrics(
                {f"gradient_norm/{name}": v for name, v in zip(norms, values, strict=True)}, step
            )

    def transfer_batch_to_device(
        self, batch: Batch | BevError, device: torch.device, dataloader_index: int
    ) -> Batch | BevError:
        return batch if isinstance(batch, BevError) else batch.to(device, non_blocking=True)

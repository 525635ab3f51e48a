"""Callbacks that write to the event files: curves, histograms, graph, settings and pictures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from tensorboard.compat.proto.event_pb2 import Event
from torch import Tensor, nn
from torch.optim import Optimizer

from bev.config import Experiment
from bev.data.dataset import KeyFrames
from bev.data.frame import Frame
from bev.evaluation.scores import DETAILS, read_details
from bev.models import Detector
from bev.paths import file_name
from bev.serialization import leaves, to_plain
from bev.training.metrics import ValidationMetrics
from bev.training.module import TrainingModule, holds_whole_model
from bev.training.tensorboard import summaries
from bev.training.tensorboard.graph import Node, graph_def, layer_graph
from bev.training.tensorboard.logger import EventLogger, event_logger

# Draws validation frames with the predictions of a model: RGB pictures by name.
Draw = Callable[[Detector, Sequence[Frame]], Mapping[str, np.ndarray]]

# Settings of places and of the machine, which no result depends on.
_PLACES = (
    "model.labels", "data.root", "data.workers", "data.image_cache", "train.runs", "train.run_name",
    "train.threads", "train.log_every", "train.save_minutes", "train.pictures", "train.tensorboard",
    "train.tracking",
)  # fmt: skip
_CURVES, _HISTOGRAMS, _GRAPH, _PICTURES = (
    "precision-recall curves", "histograms", "the model graph", "pictures of samples",
)  # fmt: skip


class TensorBoardEvents(Callback):
    """Writes the settings, the model graph, histograms and precision-recall curves of a run.

    Args:
        metrics: validation of the run; it precedes this callback.
    """

    def __init__(self, metrics: ValidationMetrics) -> None:
        self.metrics, self.settings = metrics, metrics.config.train.tensorboard
        self.logger: EventLogger | None = None
        self._graph: dict[str, Node] = {}

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        self.logger = event_logger(trainer)
        if self.logger is None or stage != "fit" or not self.settings.graph:
            return
        # The module is not on its device yet: kernels of a GPU would hide what they read.
        with self.logger.harmless(_GRAPH):
            config = self.metrics.config
            frames = self.metrics.source.frames(config.data.splits[1])[:1]
            batch = KeyFrames(frames, config.data, training=False)[0]
            self._graph = layer_graph(model_of(module), batch)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.logger is None:
            return
        self.logger.resume(trainer.global_step)
        self.logger.add(summaries.session_start(hyperparameters(self.metrics.config)), 0)
        if self._graph:
            with self.logger.harmless(_GRAPH):
                content = graph_def(self._graph).SerializeToString()
                self.logger.write(Event(graph_def=content))

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: Optimizer
    ) -> None:
        every, step = self.settings.histograms, trainer.global_step + 1
        if self.logger is None or not every or step % every or self.logger.lacks(_HISTOGRAMS):
            return
        with self.logger.harmless(_HISTOGRAMS):
            write_histograms(self.logger, model_of(module), step)

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        if self.logger is not None:
            self.logger.lead = 1 if trainer.state.fn == "fit" else 0

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        result, split = self.metrics.result, self.metrics.config.data.splits[1]
        folder = self.metrics.run / "evaluation" / file_name(split)
        if self.logger is None or result is None or not self.settings.pr_curves:
            return
        with self.logger.harmless(_CURVES):
            if not (folder / DETAILS).is_file():
                return
            counts = next((one.num_gt for one in result.heads.values() if one.num_gt), {})
            for key, curve in read_details(folder).items():
                name, _, distance = key.rpartition(":")
                if counts.get(name):
                    tag = f"{name}/within {distance} m"
                    summary = summaries.pr_curve(tag, curve, counts[name])
                    self.logger.add(summary, trainer.global_step)

    def finish(self) -> None:
        """Note that the run is finished, and close the files."""
        if self.logger is not None:
            self.logger.add(summaries.session_end(), max(self.metrics.validated_step, 0))
            self.logger.close()


class SamplePictures(Callback):
    """Draws the same validation samples at every validation, with the weights that it validates.

    Args:
        draw: function that draws samples, given the model and all validation frames.
    """

    def __init__(self, draw: Draw) -> None:
        self.draw = draw

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        # The averaged weights are in the model from now until the end of the epoch.
        logger = event_logger(trainer)
        if logger is None or logger.lacks(_PICTURES) or not holds_whole_model(trainer):
            return
        with logger.harmless(_PICTURES):
            frames = trainer.datamodule.frames["val"]  # type: ignore[attr-defined]
            for name, picture in self.draw(model_of(module), frames).items():
                logger.add(summaries.picture(f"samples/{name}", picture), trainer.global_step)


def write_histograms(logger: EventLogger, model: nn.Module, step: int) -> None:
    """Write histograms of all weights, and of the gradients that there are."""
    for name, parameter in model.named_parameters():
        for kind, values in (("weights", parameter), ("gradients", parameter.grad)):
            if isinstance(values, Tensor):
                logger.add(summaries.histogram(f"{kind}/{name}", values), step)


def hyperparameters(config: Experiment) -> dict[str, Any]:
    """Settings that results may depend on, by their dotted names."""
    plain = {name: to_plain(getattr(config, name)) for name in ("model", "data", "train")}
    return {
        name: value
        for name, value in leaves(plain)
        if not any(name == place or name.startswith(f"{place}.") for place in _PLACES)
    }


def model_of(module: LightningModule) -> Detector:
    """The detector that a module trains."""
    if not isinstance(module, TrainingModule):
        raise TypeError(f"{type(module).__name__} trains no detector.")
    return module.model

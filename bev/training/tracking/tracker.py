"""Lightning logger that passes the figures of a run on to a tracker, and the callback beside it."""

import json
import math
import secrets
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from bev.config import Experiment
from bev.errors import TrainingError, print_warnings, system_fault
from bev.evaluation.evaluation import described
from bev.files import replacing
from bev.plain_json import read_json
from bev.training.settings import TrackingConfig
from bev.training.tracking.packages import check_trackers, kept_environment

MLFLOW_FILE = "mlflow.db"  # in the folder of all runs, so that they stand side by side

Kind = Literal["wandb", "mlflow"]


class Tracker(Logger):
    """Passes the figures of a run on to a logger of Lightning, each step of a curve once.

    The tracker's run is the same after ``--resume``: its identifier and the last step of each curve
    are in ``tracking/<kind>.json`` of the run folder. A resumed run trains the steps after its last
    checkpoint again, and their figures are left out. Steps are complete optimiser steps.

    An error of the tracker never ends the training: the first one is printed as a warning, and
    nothing is passed on from then.

    Args:
        kind: name of the tracker.
        config: its settings.
        folder: run folder.
        runs: folder of all runs; that of a resumed run elsewhere is the one above its experiment.

    Attributes:
        lead: optimiser steps by which Lightning's count lags behind, see ``EventLogger``.
    """

    def __init__(self, kind: Kind, config: TrackingConfig, folder: Path, runs: Path) -> None:
        super().__init__()
        self.runs = runs if folder.is_relative_to(runs) else folder.parents[1]
        self.experiment, *names = folder.relative_to(self.runs).parts
        self.title = "/".join(names)  # a run's name may be that of a folder in a folder
        self.kind, self.config, self.folder, self.lead = kind, config, folder, 1
        self.record = folder / "tracking" / f"{kind}.json"
        self.run, self.steps = "", dict[str, int]()
        self._inner: WandbLogger | MLFlowLogger | None = None
        self._failed = self._closed = False

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Ignore Lightning's settings; the callback ``TrackedRun`` passes the run's."""

    @rank_zero_only
    def begin(self, settings: Mapping[str, Any]) -> None:
        """Begin the tracker's run, or go on with it, and pass its settings."""
        with self._harmless():
            if isinstance(inner := self._logger(), MLFlowLogger):
                self._begin_mlflow(inner, settings)
            elif inner is not None:
                inner.log_hyperparams(dict(settings))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        at = (step or 0) + self.lead
        new = {
            name: float(value)
            for name, value in metrics.items()
            if name != "epoch" and at > self.steps.get(name, -1) and math.isfinite(value)
        }
        with self._harmless():
            if new and (inner := self._logger()) is not None:
                inner.log_metrics(new, at)
                self.steps |= dict.fromkeys(new, at)
                self._save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Note a failure; after success, the final validation goes on in the same run."""
        if status == "failed":
            self.close(failed=True)

    @rank_zero_only
    def close(self, failed: bool = False) -> None:
        """End the tracker's run; a later part of the run goes on with it."""
        if self._inner is None or self._closed:
            return
        self._closed = True
        with self._harmless():
            if isinstance(self._inner, MLFlowLogger):
                self._inner.finalize("failed" if failed else "success")
            else:
                self._inner.experiment.finish(exit_code=int(failed))

    def _logger(self) -> WandbLogger | MLFlowLogger | None:
        """Lightning's logger of the tracker, created when it is needed; None after an error."""
        if self._inner is None and not self._failed:
            check_trackers(self.config)
            if self.record.is_file():
                self.run, self.steps = read_json(
                    self.record,
                    lambda x: (str(x["run"]), {str(n): int(at) for n, at in x["steps"].items()}),
                    TrainingError,
                    "delete it, and the tracker begins another run.",
                )
            self._inner = self._wandb() if self.kind == "wandb" else self._mlflow()
            self._save()
        return None if self._failed else self._inner

    def _wandb(self) -> WandbLogger:
        import wandb

        options: dict[str, Any] = {"console": "off", "silent": True, "disable_code": True}
        if server := self.config.server_of("wandb"):
            options["base_url"] = server
        logger = WandbLogger(
            name=self.title,
            save_dir=self.folder,
            version=self.run or secrets.token_hex(4),
            offline=not self.config.online,
            project=self.config.project or self.experiment,
            mode="online" if self.config.online else "offline",
            settings=wandb.Settings(**options),
            reinit="create_new",
        )
        with kept_environment("WANDB_MODE"):  # Lightning sets it for all processes to come
            self.run = logger.experiment.id
        return logger

    def _mlflow(self) -> MLFlowLogger:
        from mlflow.exceptions import MlflowException

        place = (self.runs / MLFLOW_FILE).resolve()
        with kept_environment("MLFLOW_TRACKING_URI"):
            logger = MLFlowLogger(
                experiment_name=self.config.project or self.experiment,
                run_name=self.title,
                tracking_uri=self.config.server_of("mlflow") or f"sqlite:///{place}",
                run_id=self.run or None,
                artifact_location=None
                if self.config.online
                else str(place.with_name("mlartifacts")),
            )
            try:
                self.run = str(logger.run_id)
            except MlflowException:  # another run of a study has just created the experiment
                self.run = str(logger.run_id)
        logger.experiment.update_run(self.run, status="RUNNING")
        return logger

    def _begin_mlflow(self, logger: MLFlowLogger, settings: Mapping[str, Any]) -> None:
        """Pass settings; MLflow refuses to change them, so those of a later part become tags."""
        known = logger.experiment.get_run(self.run).data.params
        texts = {name: str(value)[:250] for name, value in settings.items()}
        logger.log_hyperparams({n: text for n, text in texts.items() if n not in known})
        for name, text in texts.items():
            if known.get(name, text) != text:
                logger.experiment.set_tag(self.run, f"resumed/{name}", text)

    def _save(self) -> None:
        self.record.parent.mkdir(exist_ok=True)
        with replacing(self.record) as partial:
            partial.write_text(json.dumps({"run": self.run, "steps": self.steps}))

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Context in which an error ends nothing but the tracking, with a warning."""
        try:
            yield
        except Exception as error:
            if not self._failed:
                reason = " ".join((system_fault(error) or described(error)).split()).rstrip(".")
                print_warnings([f"{self.kind} lacks this run from now on: {reason[:400]}."])
            self._failed = True


class TrackedRun(Callback):
    """Passes the settings of a run to its trackers, and keeps their steps.

    Args:
        config: the experiment.
    """

    def __init__(self, config: Experiment) -> None:
        self.config = config
        self.trackers: list[Tracker] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        from bev.training.tensorboard.callback import hyperparameters

        self.trackers = [one for one in trainer.loggers if isinstance(one, Tracker)]
        for tracker in self.trackers:
            tracker.begin(hyperparameters(self.config))

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        for tracker in self.trackers:
            tracker.lead = 1 if trainer.state.fn == "fit" else 0

    def finish(self) -> None:
        """End the trackers' runs."""
        for tracker in self.trackers:
            tracker.close()
            if not self.config.train.tracking.online and tracker.run:
                print(_where(tracker), flush=True)


def _where(tracker: Tracker) -> str:
    """Place of the records of a tracker, and how they are looked at or sent."""
    if tracker.kind == "mlflow":
        place = (tracker.runs / MLFLOW_FILE).resolve()
        uri = shlex.quote(f"sqlite:///{place}")
        return f"tracked in {place}; show it: mlflow ui --backend-store-uri {uri}"
    return f"tracked in {tracker.folder / 'wandb'}; send it: wandb sync --append <its folders>"

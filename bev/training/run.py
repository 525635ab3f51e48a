"""Training run: from an experiment to a run folder with checkpoints and evaluation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lightning import Callback

from bev.config import Experiment, code_files, save_config
from bev.data.checks.crop import crop_warnings
from bev.data.dataset import KeyFrames
from bev.data.frame import Frame
from bev.errors import TrainingError, explaining
from bev.evaluation.evaluation import described, try_out
from bev.evaluation.table import Result
from bev.machine import device_name, local_processes, peak_memory
from bev.models import Detector
from bev.models.kernel_gradient import use_kernel_gradients
from bev.serialization import to_plain
from bev.training.checkpoint.loading import check_resumable
from bev.training.checkpoint.saving import SavedConfig
from bev.training.data_checks import check_run_data, print_data
from bev.training.datamodule import KeyFrameData
from bev.training.distributed.launch import machines
from bev.training.folder import claimed_folder, keep_records, put_back
from bev.training.initialization import starting_model, write_account
from bev.training.metrics import ValidationMetrics
from bev.training.module import TrainingModule
from bev.training.record import RunRecord, count_flops
from bev.training.settings_check import check_settings
from bev.training.tracking.packages import check_trackers
from bev.training.trainer import build_trainer, prepare_process
from bev.training.workers import ending_workers

if TYPE_CHECKING:
    from bev.training.tensorboard.callback import TensorBoardEvents
    from bev.training.tracking.tracker import TrackedRun


@dataclass(frozen=True)
class FinishedRun:
    """Trained and evaluated run, passed to the functions called at the end of a run.

    Attributes:
        folder: run folder.
        config: the experiment.
        model: detector with the (averaged) weights that were evaluated, on its device.
        frames: validation key frames.
        result: result of the last validation, of the heads that have one.
    """

    folder: Path
    config: Experiment
    model: Detector
    frames: Sequence[Frame]
    result: Result


def train(
    config: Experiment,
    resume: Path | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    finish: Sequence[Callable[[FinishedRun], object]] = (),
    evaluate: bool = True,
) -> tuple[Path, Result | None]:
    """Train and evaluate.

    Args:
        config: the experiment.
        resume: checkpoint to resume; if it is part of a run, the run continues in its folder.
        callbacks: Lightning callbacks, in addition to those of every run.
        finish: functions called in turn on rank 0 after the last validation, before ``run.json``
            marks the run as finished.
        evaluate: evaluate the weights at the end, if they have not been evaluated.

    Returns:
        Run folder, and result of the last validation (None on ranks other than 0).

    Raises:
        BevError: for invalid data, weights, checkpoints or settings, see ``bev.errors``; also if
            the last validation failed, after the functions of ``finish`` have been called.
    """
    check_settings(config, here=True)
    check_trackers(config.train.tracking)
    devices = local_processes(config.train.devices)
    if resume is not None:
        check_resumable(resume, config, devices * machines())
    with (
        claimed_folder(config.train, config.name, resume) as folder,
        explaining(f"The run in {folder} ended early, with its checkpoints whole for --resume"),
    ):
        return folder, _train_in(folder, config, resume, devices, callbacks, finish, evaluate)


def _train_in(
    folder: Path,
    config: Experiment,
    resume: Path | None,
    devices: int,
    callbacks: Sequence[Callback],
    finish: Sequence[Callable[[FinishedRun], object]],
    evaluate: bool,
) -> Result | None:
    """Train in a folder that no other run uses; see :func:`train`."""
    prepare_process(config.train, devices)
    data = KeyFrameData(config.data, config.train.seed)
    data.setup("fit")
    warnings = check_run_data(config, data)
    model, weights = starting_model(
        config.model, config.train.init, config.data.image_size, resumed=resume is not None
    )
    use_kernel_gradients(model)
    try_out(model, KeyFrames(data.frames["train"], config.data, training=True)[0], config.data)
    module = TrainingModule(model, config.train, config.data.batch_size)
    metrics = ValidationMetrics(folder, config, data.source)
    all_callbacks: list[Callback] = [
        metrics,
        SavedConfig(to_plain(config), code_files(config)),
        *callbacks,
    ]
    events: list[TensorBoardEvents | TrackedRun] = [*_tensorboard(metrics), *_tracked(config)]
    all_callbacks += events
    trainer = build_trainer(config.train, folder, devices, metrics.headline, all_callbacks)
    earlier = keep_records(folder) if trainer.is_global_zero else []
    with ending_workers():
        try:
            if trainer.is_global_zero:
                save_config(config, folder / "config.yaml")
                parameters = sum(p.numel() for p in module.parameters())
                print(
                    f"run folder {folder}; {parameters / 1e6:.2f} M parameters;"
                    f" {len(data.frames['train'])} key frames to train on, {len(data.plan)} samples"
                    f" per epoch; {len(data.frames['val'])} to evaluate on",
                    flush=True,
                )
                doubts = warnings + crop_warnings(data.frames["train"], config.data)
                print_data(data, config, doubts)
                write_account(folder, weights)
            trainer.fit(module, data, ckpt_path=resume, weights_only=True)
        except BaseException:
            if not metrics.trained:
                put_back(earlier)  # nothing was trained
            raise
        steps = trainer.global_step
        if evaluate and metrics.validated_step != steps:
            try:
                trainer.validate(module, data, verbose=False)
            except Exception as error:
                if not trainer.is_global_zero:  # it has nothing to report, and the first one waits
                    raise
                metrics.fault = f"The evaluation failed: {described(error)}"
    if not trainer.is_global_zero:
        return None
    result = metrics.result or Result({}, {"": metrics.fault} if metrics.fault else {})
    run = FinishedRun(folder, config, module.model, data.frames["val"], result)
    for step in finish:
        step(run)
    if metrics.fault:
        last = folder / "checkpoints" / "last.ckpt"
        raise TrainingError(
            f"{metrics.fault.rstrip('.')}; the run in {folder} is trained, and --resume {last}"
            " evaluates it again."
        )
    for one in events:
        one.finish()
    RunRecord(
        steps=steps,
        training_minutes=round(metrics.training_seconds / 60, 3),
        parameters=sum(p.numel() for p in model.parameters()),
        peak_memory=peak_memory(),
        flops=count_flops(model, KeyFrames(run.frames, config.data, training=False)),
        device=device_name(),
        processes=trainer.world_size,
    ).write(folder)
    return result


def _tensorboard(metrics: ValidationMetrics) -> "list[TensorBoardEvents]":
    """Callback that writes TensorBoard's files, which is not imported without need."""
    if not metrics.config.train.tensorboard.events:
        return []
    from bev.training.tensorboard.callback import TensorBoardEvents

    return [TensorBoardEvents(metrics)]


def _tracked(config: Experiment) -> "list[TrackedRun]":
    """Callback of the trackers, which are not imported without need."""
    if not config.train.tracking.loggers:
        return []
    from bev.training.tracking.tracker import TrackedRun

    return [TrackedRun(config)]
